"""What followers and queries return."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Literal, Mapping, Optional, Union

from ._errors import Refused

if TYPE_CHECKING:
    import pandas

Mode = Literal["merge", "all"]

PRICES = ("bid", "ask", "last", "bid_size", "ask_size", "volume", "open", "high", "low")
_OWN = frozenset(
    ("type", "symbol", "seq", "prev", "state", "currency", "source", "timestamp", *PRICES)
)


@dataclass(frozen=True)
class Position:
    """A place in the log.  `str(position)` is "EPOCH:SEQ", which `since` also takes."""

    epoch: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> Position:
        epoch, colon, seq = text.partition(":")
        if not (colon and epoch and seq.isascii() and seq.isdigit()):
            like = "0efc6f433b8d1fa2:980"
            raise ValueError(f'pregon: "{text}" is no position; one looks like {like}')
        return cls(epoch, int(seq))

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


@dataclass(frozen=True)
class Quote:
    """A quote.  Prices and sizes are `Decimal`, and None if the quote has none.

    `seq` is its position in the log.  `prev` is the position of the symbol's record before it;
    None for a last value, which is not necessarily new (`is_snapshot`).  `state` is "live", or
    "stale" if the symbol's feed is silent.  `timestamp` is in Unix seconds; `time` is the same as
    a datetime in UTC.  `extra` has all other fields as the feed sent them; their fractions are
    `Decimal`, too.  Quotes of `history` have `extra["accepted"]`, those of `follow(trace=True)`
    have `extra["trace"]`.
    """

    symbol: str
    seq: int
    prev: Optional[int] = None
    state: str = "live"
    bid: Optional[Decimal] = None
    ask: Optional[Decimal] = None
    last: Optional[Decimal] = None
    bid_size: Optional[Decimal] = None
    ask_size: Optional[Decimal] = None
    volume: Optional[Decimal] = None
    open: Optional[Decimal] = None
    high: Optional[Decimal] = None
    low: Optional[Decimal] = None
    currency: Optional[str] = None
    source: Optional[str] = None
    timestamp: float = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def is_snapshot(self) -> bool:
        return self.prev is None

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.timestamp, timezone.utc)

    def __str__(self) -> str:
        """For people: `DAX 1628.75 live`, `USD/THB 24.85 / 25.005 stale`."""
        if self.last is not None:
            price = format(self.last, "f")
        else:
            price = " / ".join("-" if p is None else format(p, "f") for p in (self.bid, self.ask))
        return f"{self.symbol} {price} {self.state}"


@dataclass(frozen=True)
class State:
    """A symbol became "stale" or "live"."""

    symbol: str
    seq: int
    prev: int
    state: str


@dataclass(frozen=True)
class Lost:
    """Records that nobody has any more.

    `first` to `last` are lines of `feed`, or positions of the log if `feed` is "".  With the reason
    "gap" at most `count` records of `symbol` did not arrive, also after a reconnect.
    """

    seq: int
    feed: str
    first: int
    last: int
    count: int
    reason: str
    symbol: Optional[str] = None


@dataclass(frozen=True)
class Reset:
    """Everything begins anew, with the last values (`Quote.is_snapshot`).

    `reason` is "log_replaced" (the log is another one), "not_kept" (the log does not reach back to
    the position) or "interrupted" (the first connection ended before all last values had come).
    """

    epoch: str
    seq: int
    reason: str


@dataclass(frozen=True)
class Status:
    """What the connection does: `phase` is "connecting", "connected" or "waiting".

    `text` is the same for people.  While waiting, `retry_in` is the number of seconds until the
    next attempt, and `refusal` the gateway's refusal, if it was one.  When connected, `position`
    is the position from which the gateway sends, and `recovered` whether it is the one that the
    client had reached (None: it had none).
    """

    phase: Literal["connecting", "connected", "waiting"]
    text: str
    retry_in: Optional[float] = None
    refusal: Optional[Refused] = None
    position: Optional[Position] = None
    recovered: Optional[bool] = None


class Quotes(List[Quote]):
    """A list of quotes and what the gateway says about it.

    `epoch` is that of the log.  `complete` is False if quotes may be missing: the broker is away,
    or, in a history, records were lost (`gaps`) or pruned.  `states` are the changes between "live"
    and "stale" in a history.
    """

    def __init__(self, quotes: Iterable[Quote] = ()) -> None:
        super().__init__(quotes)
        self.epoch = ""
        self.complete = True
        self.gaps: List[Dict[str, Any]] = []
        self.states: List[State] = []

    def to_frame(self) -> pandas.DataFrame:
        """A pandas DataFrame: one row for each quote, one column for each field that occurs.

        Prices stay `Decimal`; `frame["last"].astype(float)` makes binary fractions of them.
        """
        import pandas

        columns = ["time", "symbol", "seq", "state", *PRICES, "currency", "source"]
        used = [
            name
            for name in columns
            if not self or any(getattr(quote, name) is not None for quote in self)
        ]
        table: Dict[str, List[Any]] = {
            name: [getattr(quote, name) for quote in self] for name in used
        }
        for name in dict.fromkeys(name for quote in self for name in quote.extra):
            key = name if name not in table else "extra_" + name
            table[key] = [quote.extra.get(name) for quote in self]
        if not self:
            table["time"] = []
        frame = pandas.DataFrame(table)
        frame["time"] = pandas.to_datetime(frame["time"], utc=True)
        return frame


def decimal_of(value: Any) -> Optional[Decimal]:
    """The price, or None if there is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def quote_of(message: Mapping[str, Any]) -> Quote:
    """The quote in a message whose fractions were parsed as Decimal."""
    prices = {name: decimal_of(message[name]) for name in PRICES if name in message}
    return Quote(
        symbol=message["symbol"],
        seq=message["seq"],
        prev=message.get("prev"),
        state=message.get("state", "live"),
        currency=message.get("currency"),
        source=message.get("source"),
        timestamp=float(message.get("timestamp", 0)),
        extra={name: value for name, value in message.items() if name not in _OWN},
        **prices,
    )


def state_of(message: Mapping[str, Any]) -> State:
    return State(message["symbol"], message["seq"], message["prev"], message["state"])


def lost_of(message: Mapping[str, Any]) -> Lost:
    return Lost(
        *(message[name] for name in ("seq", "feed", "first", "last", "count", "reason"))
    )


def position_of(since: Union[Position, str, None]) -> Optional[Position]:
    return Position.parse(since) if isinstance(since, str) else since
