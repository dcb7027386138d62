"""Last values and history."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Dict, Literal, Optional, Sequence, Union
from urllib.parse import quote as escape

from ._address import Urls, addresses, patterns
from ._errors import Unreachable
from ._http import Requester
from ._types import Position, Quotes, quote_of, state_of

Moment = Union[datetime, Position, str, int]
PAGE = 1000
_NO_PAGE = (KeyError, TypeError, ValueError, AttributeError)


def _odd() -> Unreachable:
    return Unreachable("bad_answer", "the answer is no page of quotes: is this a gateway?")


def quotes(
    url: Urls,
    symbols: Union[str, Sequence[str]] = "*",
    *,
    token: Optional[str] = None,
    timeout: float = 10.0,
) -> Quotes:
    """The last value of every symbol that matches."""
    requester = Requester(addresses(url), token)
    found = Quotes()
    parameters: Dict[str, Any] = {"symbols": ",".join(patterns(symbols)), "limit": PAGE}
    while True:
        page = requester.send("GET", "quotes", parameters, timeout=timeout).json()
        try:
            found.extend(map(quote_of, page["quotes"]))
        except _NO_PAGE as e:
            raise _odd() from e
        found.epoch = page.get("epoch", "")
        found.complete = found.complete and page.get("complete", True)
        if not page.get("truncated") or "next" not in page:
            return found
        if page["next"] == parameters.get("offset"):
            raise _odd()
        parameters["offset"] = page["next"]


def history(
    url: Urls,
    symbol: str,
    *,
    since: Optional[Moment] = None,
    until: Optional[Moment] = None,
    order: Literal["oldest", "newest"] = "oldest",
    limit: Optional[int] = None,
    token: Optional[str] = None,
    timeout: float = 10.0,
) -> Quotes:
    """The earlier quotes of a symbol, as far back as the log reaches.

    `since` and `until` are times (datetimes with a time zone) or positions: above `since`, up to
    `until`.  `limit` is the largest number of quotes; None: all.  `timeout` is for each request.
    """
    requester = Requester(addresses(url), token)
    [name] = patterns(symbol)
    if name.endswith("*"):
        raise ValueError("pregon: history is of one symbol")
    if order not in ("oldest", "newest"):
        raise ValueError(f'pregon: order is "oldest" or "newest", not "{order}"')
    parameters: Dict[str, Any] = {"order": order}
    for key, moment in (("since", since), ("until", until)):
        if moment is not None:
            parameters[key] = _moment(moment)
    found = Quotes()
    while limit is None or len(found) < limit:
        parameters["limit"] = PAGE if limit is None else min(PAGE, limit - len(found))
        route = f"quotes/{escape(name, safe='')}/history"
        page = requester.send("GET", route, parameters, timeout=timeout).json()
        try:
            for record in page["records"]:
                if record["type"] == "quote":
                    found.append(quote_of(record))
                elif record["type"] == "state":
                    found.states.append(state_of(record))
            found.gaps.extend(page.get("gaps", []))
        except _NO_PAGE as e:
            raise _odd() from e
        found.epoch = page.get("epoch", "")
        found.complete = found.complete and page.get("complete", True)
        if not page.get("truncated") or "next" not in page:
            break
        if page["next"] == parameters.get("next"):
            raise _odd()
        parameters["next"] = page["next"]
    return found


def _moment(moment: Moment) -> str:
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError("pregon: this time needs a time zone: datetime.now(timezone.utc)")
        return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return str(moment)
