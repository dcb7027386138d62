"""The position of a follower: docs/protocol/stream.md, "Resuming".

In mode all it also keeps the last position of each symbol, to find missing and repeated records.
Does no I/O and reads no clock.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from ._types import Position

Message = Mapping[str, Any]


class Missing(Exception):
    """Records before this one are missing, and a new connection may bring them."""


class Tracker:
    """`value` is the position up to which everything was received; None: resuming is impossible."""

    def __init__(self, is_all: bool, since: Optional[Position]) -> None:
        self._is_all = is_all
        self._epoch = since.epoch if since else ""
        self._base = since.seq if since else 0  # symbols without an entry have no record up to here
        self._last: Dict[str, int] = {}  # symbol -> its last position
        self._gaps: Dict[str, int] = {}  # symbol -> the `prev` for which it has reconnected
        self._hole = 0  # end of the last range of lost positions
        self._lost_at = 0  # position of the last loss that was reported
        self._has_begun = False  # the program has received something
        self._is_acked = False
        self.value = since

    def disconnected(self) -> None:
        self._is_acked = False

    def acknowledged(self, m: Message) -> str:
        """The ack of the subscription; returns the reason if everything begins anew, or ""."""
        if self._epoch and m["epoch"] != self._epoch:
            why = "log_replaced"
        elif m.get("recovered") is False:
            why = "not_kept"
        elif self._has_begun and self._is_all and m.get("recovered") is not True:
            why = "interrupted"
        else:
            why = ""
        if why:
            self.forget(m["epoch"])
        self._epoch = m["epoch"]
        self._base = m["seq"]
        self._is_acked = True
        if not self._is_all:
            self.complete(m["seq"])
        return why

    def forget(self, epoch: str) -> None:
        self._epoch = epoch
        self.value = None
        self._last.clear()
        self._gaps.clear()
        self._base = self._hole = self._lost_at = 0

    def complete(self, seq: int) -> None:
        """The gateway has sent everything up to seq."""
        if not self._is_acked:
            return
        if self._is_all:
            self._move(seq)
        else:
            self.value = Position(self._epoch, seq) if seq else None

    def _move(self, seq: int) -> None:
        if self._is_acked and self._is_all and seq > (self.value.seq if self.value else 0):
            self.value = Position(self._epoch, seq)

    def take_snapshot(self, m: Message) -> None:
        self._has_begun = True
        if self._is_all:
            self._last[m["symbol"]] = max(m["seq"], self._last.get(m["symbol"], 0))

    def take_loss(self, m: Message) -> bool:
        """False: already reported; after a reconnect for a gap the gateway sends it again."""
        self._move(m["seq"])
        if m["seq"] <= self._lost_at:
            return False
        self._lost_at = m["seq"]
        if m["feed"] == "":
            self._hole = max(self._hole, m["last"])
        return True

    def take(self, m: Message) -> Optional[range]:
        """A quote or a state.  None: it was already received.

        Otherwise the positions before it that are missing for good; usually an empty range.
        Raises Missing if the client should reconnect instead of taking it.
        """
        if not self._is_all:
            return range(0)
        symbol, seq, prev = m["symbol"], m["seq"], m["prev"]
        last = self._last.get(symbol, self._base)
        if seq <= last:  # repeated; or the state of a symbol while the broker is away: no record
            is_state = m["type"] == "state" and (seq == last or symbol not in self._last)
            return range(0) if is_state else None
        missing = range(0)
        if prev > max(last, self._hole):
            if self._gaps.get(symbol) != prev and self.value and last > 0:
                self._gaps[symbol] = prev
                # Other symbols' repeated records are known by their last positions.
                self.value = Position(self._epoch, min(self.value.seq, last))
                raise Missing(f"a record of {symbol} is missing before position {seq}")
            missing = range(last + 1, prev + 1)
        self._has_begun = True
        self._last[symbol] = seq
        self._move(seq)
        return missing
