"""What became of quotes that were published."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Mapping, Optional


@dataclass(frozen=True)
class RefusedQuote:
    """A quote that the broker refused: `index` is its place in the list, `field` may be ""."""

    index: int
    code: str
    field: str
    message: str


def _is_outcome(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    if "code" in row:
        return all(isinstance(row.get(name), str) for name in ("code", "field", "message"))
    return isinstance(row.get("seq"), int)


def _is_refusal(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("index"), int)
        and isinstance(row.get("code"), str)
        and isinstance(row.get("field", ""), str)
    )


@dataclass
class Published:
    """What became of a list of quotes.

    `positions` has one entry for each quote: its position in the log, or None if it is refused.
    `repeated` is true if an earlier request with the same key got this answer.  `stored` is true if
    the broker's store has all quotes (only with `wait_stored`).
    """

    epoch: str = ""
    positions: List[Optional[int]] = field(default_factory=list)
    refused: List[RefusedQuote] = field(default_factory=list)
    repeated: bool = False
    stored: bool = False

    def add_answer(self, body: Mapping[str, Any], count: int) -> None:
        """The answer to a request with `count` quotes.  ValueError: it is no such answer."""
        rows = body.get("quotes")
        if not isinstance(rows, list) or len(rows) != count or not all(map(_is_outcome, rows)):
            raise ValueError("the answer does not say of each quote what became of it")
        for row in rows:
            if "code" in row:
                at = len(self.positions)
                self.refused.append(RefusedQuote(at, row["code"], row["field"], row["message"]))
            self.positions.append(row.get("seq"))
        self._add_rest(body)

    def add_ack(self, ack: Mapping[str, Any], count: int) -> None:
        """The acknowledgement of `count` quotes.  ValueError: it is no such acknowledgement."""
        positions, refused = ack.get("positions"), ack.get("refused")
        if (
            not isinstance(positions, list)
            or len(positions) != count
            or not all(isinstance(seq, int) for seq in positions)
            or not isinstance(refused, list)
            or not all(_is_refusal(row) for row in refused)
        ):
            raise ValueError("the ack does not say of each quote what became of it")
        first = len(self.positions)
        self.positions.extend(seq or None for seq in positions)
        for row in refused:
            at, code, name = first + row["index"], row["code"], row.get("field", "")
            about = f" (field {name})" if name else ""
            self.refused.append(RefusedQuote(at, code, name, f"The broker refused it{about}."))
        self._add_rest(ack)

    def _add_rest(self, answer: Mapping[str, Any]) -> None:
        self.epoch = answer.get("epoch", self.epoch)
        self.repeated = self.repeated or answer.get("repeated", False)
        self.stored = answer.get("stored", False)
