"""Follow and publish live quotes of a Pregón gateway.

    async for quote in pregon.follow("http://127.0.0.1:8000", symbols=["DAX", "USD*"]):
        print(quote)

`follow` is for asyncio, `follow_sync` for programs without it.  `publish`, `quotes`, `history` and
`lock` are ordinary functions; in asyncio call them with `await asyncio.to_thread(...)`.  Prices are
`decimal.Decimal`.  Everything that a gateway refuses is a `PregonError` with `code`, `message` and
`hint`.
"""

from ._errors import LockHeld, LockLost, PregonError, QuotesRefused, Refused, Unreachable
from ._follow import Follower, SyncFollower, follow, follow_sync
from ._lock import Lock, lock
from ._publish import AsyncPublisher, Publisher, publish
from ._published import Published, RefusedQuote
from ._read import history, quotes
from ._types import Lost, Mode, Position, Quote, Quotes, Reset, State, Status

__version__ = "0.1.0"

__all__ = [
    "AsyncPublisher",
    "Follower",
    "Lock",
    "LockHeld",
    "LockLost",
    "Lost",
    "Mode",
    "Position",
    "PregonError",
    "Published",
    "Publisher",
    "Quote",
    "Quotes",
    "QuotesRefused",
    "Refused",
    "RefusedQuote",
    "Reset",
    "State",
    "Status",
    "SyncFollower",
    "Unreachable",
    "follow",
    "follow_sync",
    "history",
    "lock",
    "publish",
    "quotes",
]

for _name in set(__all__) - {"Mode"}:  # tracebacks then show the public name
    globals()[_name].__module__ = __name__
