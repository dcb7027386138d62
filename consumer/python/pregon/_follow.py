"""Following quotes: docs/protocol/stream.md."""

from __future__ import annotations

import json
from typing import (
    Any,
    AsyncGenerator,
    Callable,
    Dict,
    Generator,
    Iterable,
    Iterator,
    Optional,
    Sequence,
    Union,
)

from ._address import Urls, addresses, patterns
from ._channel import AsyncChannel, Disconnected, Emit, Send, Step, Steps, SyncChannel
from ._errors import Refused
from ._link import Link, log
from ._position import Missing, Tracker
from ._types import (
    Lost,
    Mode,
    Position,
    Quote,
    Reset,
    State,
    Status,
    lost_of,
    position_of,
    quote_of,
    state_of,
)

Event = Union[Quote, State, Lost, Reset, Status]


class _Follow:
    """The algorithm, without I/O."""

    def __init__(
        self,
        urls: Urls,
        symbols: Union[str, Sequence[str]],
        mode: Mode,
        *,
        token: Optional[str],
        since: Union[Position, str, None],
        max_hz: Optional[float],
        trace: bool,
        on_state: Optional[Callable[[State], object]],
        on_lost: Optional[Callable[[Lost], object]],
        on_reset: Optional[Callable[[Reset], object]],
        on_status: Optional[Callable[[Status], object]],
    ) -> None:
        if mode not in ("merge", "all"):
            raise ValueError(f'pregon: mode is "merge" or "all", not "{mode}"')
        self.request: Dict[str, Any] = {
            "op": "subscribe",
            "id": 1,
            "symbols": patterns(symbols),
            "mode": mode,
        }
        if max_hz is not None:
            self.request["max_hz"] = max_hz
        if trace:
            self.request["trace"] = True
        self.tracker = Tracker(mode == "all", position_of(since))
        self.link = Link(addresses(urls), token, on_status)
        self.on_state, self.on_lost, self.on_reset = on_state, on_lost, on_reset

    def steps(self) -> Steps:
        while True:
            yield from self.link.connect()
            try:
                yield from self.subscription()
            except (Disconnected, Missing) as e:
                self.tracker.disconnected()
                yield from self.link.wait(e)

    def subscription(self) -> Generator[Step, Any, None]:
        """One connection; raises Disconnected at its end."""
        since = self.tracker.value
        resume = {"since": {"epoch": since.epoch, "seq": since.seq}} if since else {}
        yield Send(json.dumps({**self.request, **resume}))
        while True:
            m = yield from self.link.receive()
            try:
                events = self.take(m)
            except (KeyError, TypeError, ValueError) as e:
                text = f"a message of the gateway is not understood ({e!r}): {m!r:.200}"
                raise Disconnected(text) from e
            for event in events:
                if isinstance(event, Quote):
                    yield Emit(event)
                else:
                    self.report(event)

    def take(self, m: Dict[str, Any]) -> Iterable[Event]:
        """Takes a message; returns what the program gets.  Raises Missing or Refused."""
        kind = m["type"]
        if kind == "quote":
            return self.record(m, quote_of(m))
        if kind == "snapshot":
            self.tracker.take_snapshot(m)
            return (quote_of(m),)
        if kind == "state":
            return self.record(m, state_of(m))
        if kind == "heartbeat":
            self.tracker.complete(m["seq"])
        elif kind == "lost":
            return (lost_of(m),) if self.tracker.take_loss(m) else ()
        elif kind == "ack":
            return self.acknowledged(m)
        elif kind == "reset":
            self.tracker.forget(m["epoch"])
            return (Reset(m["epoch"], m["seq"], m["reason"]),)
        elif kind == "error":
            if m.get("id") == 1:
                raise Refused(m["code"], m["message"], body=m)
            log.warning("%s: %s", m["code"], m["message"])
        return ()

    def record(self, m: Dict[str, Any], event: Event) -> Iterable[Event]:
        missing = self.tracker.take(m)
        if missing is None:
            return ()
        if not missing:
            return (event,)
        first, last = missing[0], missing[-1]
        return (Lost(m["seq"], "", first, last, last - first + 1, "gap", m["symbol"]), event)

    def acknowledged(self, m: Dict[str, Any]) -> Iterable[Event]:
        if m["op"] != "subscribe" or m.get("id") != 1:
            return ()
        if m["rejected"]:
            limit = (self.link.welcome or {}).get("limits", {}).get("symbols")
            some = ", ".join(map(str, m["rejected"][:5]))
            message = f"The gateway takes {limit} symbols of one client and did not take {some}."
            raise Refused("too_many_symbols", message, "Raise the gateway's MAX_SYMBOLS.", 0, m)
        why = self.tracker.acknowledged(m)
        self.link.succeeded()
        reset = [Reset(m["epoch"], m["seq"], why)] if why else []
        away = m.get("upstream") == "away"
        text = "connected" + (", but the broker is away: values are old" if away else "")
        position = Position(m["epoch"], m["seq"])
        status = Status("connected", text, position=position, recovered=m.get("recovered"))
        return (*reset, status)

    def report(self, event: Union[State, Lost, Reset, Status]) -> None:
        if isinstance(event, Status):
            self.link.report(event)
        elif isinstance(event, State):
            if self.on_state:
                self.on_state(event)
        elif isinstance(event, Lost):
            if self.on_lost:
                self.on_lost(event)
            else:
                log.warning("lost: %s", event)
        elif self.on_reset:
            self.on_reset(event)
        else:
            log.warning("everything begins anew: %s", event)


class Follower:
    """The quotes of `follow`: an asynchronous iterator that ends only by `aclose()` or an error."""

    def __init__(self, algorithm: _Follow) -> None:
        self._algorithm = algorithm
        self._channel = AsyncChannel()
        self._quotes = self._run()

    async def _run(self) -> AsyncGenerator[Quote, None]:
        try:
            async for quote in self._channel.run(self._algorithm.steps()):
                yield quote
        finally:
            await self._channel.close()

    @property
    def position(self) -> Optional[Position]:
        """Everything up to here was received; a later `follow(since=...)` goes on there."""
        return self._algorithm.tracker.value

    def __aiter__(self) -> Follower:
        return self

    async def __anext__(self) -> Quote:
        return await self._quotes.__anext__()

    async def aclose(self) -> None:
        """Ends the connection."""
        await self._quotes.aclose()

    async def __aenter__(self) -> Follower:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class SyncFollower:
    """The quotes of `follow_sync`: an iterator that ends only by `close()` or an error."""

    def __init__(self, algorithm: _Follow) -> None:
        self._algorithm = algorithm
        self._channel = SyncChannel()
        self._quotes = self._run()

    def _run(self) -> Generator[Quote, None, None]:
        try:
            yield from self._channel.run(self._algorithm.steps())
        finally:
            self._channel.close()

    @property
    def position(self) -> Optional[Position]:
        """Everything up to here was received; a later `follow_sync(since=...)` goes on there."""
        return self._algorithm.tracker.value

    def __iter__(self) -> Iterator[Quote]:
        return self

    def __next__(self) -> Quote:
        return next(self._quotes)

    def close(self) -> None:
        """Ends the connection."""
        self._quotes.close()

    def __enter__(self) -> SyncFollower:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def follow(
    url: Urls,
    symbols: Union[str, Sequence[str]] = "*",
    mode: Mode = "merge",
    *,
    token: Optional[str] = None,
    since: Union[Position, str, None] = None,
    max_hz: Optional[float] = None,
    trace: bool = False,
    on_state: Optional[Callable[[State], object]] = None,
    on_lost: Optional[Callable[[Lost], object]] = None,
    on_reset: Optional[Callable[[Reset], object]] = None,
    on_status: Optional[Callable[[Status], object]] = None,
) -> Follower:
    """The last value of each symbol, then new quotes: `async for quote in follow(...)`.

    It reconnects after every interruption, at the time that the gateway named or after a random
    pause, and resumes.  With mode "all" the program receives every quote exactly once, or learns
    from `on_lost` or `on_reset` what is missing; without, the newest value of each symbol.

    `url` is one gateway, or a list of gateways of the same broker.  `symbols` are symbols and
    prefixes with `*`.  `token` is the gateway's WEBSOCKET_TOKEN.  `since` is a position that an
    earlier follower had reached.  `max_hz` is the largest number of updates a second.  `trace`
    adds to each quote the times at which it passed feeder, broker and gateway.  The callbacks run
    in order with the quotes and must not block; without `on_lost` and `on_reset` the package logs
    a warning.

    Raises ValueError at once if an argument is wrong, and Refused from the iteration if the gateway
    does not admit the client and would not later, for example because its token is wrong.
    """
    return Follower(
        _Follow(url, symbols, mode, token=token, since=since, max_hz=max_hz, trace=trace,
                on_state=on_state, on_lost=on_lost, on_reset=on_reset, on_status=on_status)
    )


def follow_sync(
    url: Urls,
    symbols: Union[str, Sequence[str]] = "*",
    mode: Mode = "merge",
    *,
    token: Optional[str] = None,
    since: Union[Position, str, None] = None,
    max_hz: Optional[float] = None,
    trace: bool = False,
    on_state: Optional[Callable[[State], object]] = None,
    on_lost: Optional[Callable[[Lost], object]] = None,
    on_reset: Optional[Callable[[Reset], object]] = None,
    on_status: Optional[Callable[[Status], object]] = None,
) -> SyncFollower:
    """The same as `follow`, for programs without asyncio: `for quote in follow_sync(...)`."""
    return SyncFollower(
        _Follow(url, symbols, mode, token=token, since=since, max_hz=max_hz, trace=trace,
                on_state=on_state, on_lost=on_lost, on_reset=on_reset, on_status=on_status)
    )
