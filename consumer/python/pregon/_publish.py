"""Publishing quotes: docs/protocol/http.md, "Publishing quotes", and stream.md, "publish"."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any, Dict, Generator, Iterable, List, Mapping, Optional, Tuple, Union

from ._address import Urls, addresses, backoff
from ._channel import AsyncChannel, Close, Disconnected, Emit, Send, Sleep, Step, Steps, SyncChannel
from ._errors import PregonError, QuotesRefused, Refused, Unreachable
from ._http import Requester
from ._link import Link, log
from ._published import Published
from ._types import PRICES, Quote

PER_REQUEST = 1000
REQUEST_BYTES = 1 << 20
PER_MESSAGE = 256
LINE_MAX = 50000  # the largest quote, 8,192 bytes, is shorter even with every character escaped
AGAIN = ("publish_busy", "too_many_requests", "broker_away", "no_answer")

Publishable = Union[Quote, Mapping[str, Any]]


def checked(result: Published) -> Published:
    """Raises QuotesRefused if all are refused; logs a warning if some are."""
    if result.refused:
        first = result.refused[0]
        text = f"quote {first.index} is refused: {first.code}: {first.message}"
        if len(result.refused) == len(result.positions):
            error = QuotesRefused("quotes_refused", f"No quote was accepted; {text}", "", 422)
            error.published = result
            raise error
        log.warning("%d of %d quotes are refused; %s", len(result.refused), len(result.positions),
                    text)
    return result


def bad_answer(why: object) -> Unreachable:
    return Unreachable("bad_answer", f"{why}: is this a gateway?")


def line_of(quote: Publishable) -> str:
    """The quote as JSON on one line.  Raises TypeError for a price that is a binary fraction."""
    if isinstance(quote, Quote):
        fields: Dict[str, Any] = {"symbol": quote.symbol, **_without_trace(quote)}
        for name in (*PRICES, "currency", "source"):
            if getattr(quote, name) is not None:
                fields[name] = getattr(quote, name)
        if quote.timestamp:
            fields["timestamp"] = quote.timestamp
    else:
        fields = dict(quote)
    for name in PRICES:
        if isinstance(fields.get(name), float):
            value = fields[name]
            raise TypeError(
                f'pregon: {name}={value!r} is a binary fraction, which is not exact: write '
                f'Decimal("{value!r}") or "{value!r}"'
            )
    line = json.dumps(fields, default=_plain, allow_nan=False, separators=(",", ":"))
    if len(line) > LINE_MAX:
        raise ValueError(f"pregon: a quote of {len(line)} bytes; at most 8192 are allowed")
    return line


def _without_trace(quote: Quote) -> Dict[str, Any]:
    return {name: v for name, v in quote.extra.items() if name not in ("trace", "accepted")}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        is_price = value.is_finite() and abs(value.adjusted()) < 100
        return format(value, "f") if is_price else str(value)
    if isinstance(value, datetime) and value.tzinfo:
        return value.timestamp()
    raise TypeError(f"pregon: {value!r} cannot be a field of a quote")


def lines_of(quotes: Union[Publishable, Iterable[Publishable]]) -> List[str]:
    if isinstance(quotes, (Quote, Mapping)):
        return [line_of(quotes)]
    return [line_of(quote) for quote in quotes]


def batches(lines: List[str], count: int, size: int) -> Iterable[List[str]]:
    """Lists of at most `count` lines and `size` bytes; one empty list if there are none."""
    batch: List[str] = []
    used = 0
    for line in lines:
        more = len(line) + 1  # ASCII
        if batch and (len(batch) == count or used + more > size):
            yield batch
            batch, used = [], 0
        batch.append(line)
        used += more
    if batch or not lines:
        yield batch


def keys_of(key: Optional[str]) -> Iterable[str]:
    """A key for each batch; the same ones when a program repeats its own key."""
    first = key or uuid.uuid4().hex
    yield first
    count = 1
    while True:
        count += 1
        yield f"{first}-{count}"


def publish(
    url: Urls,
    quotes: Union[Publishable, Iterable[Publishable]],
    *,
    token: str,
    feed: Optional[str] = None,
    key: Optional[str] = None,
    wait_stored: bool = False,
    ended: bool = False,
    timeout: float = 60.0,
) -> Published:
    """Publishes one quote or several over HTTP; returns when the broker's log has them.

    A quote is a mapping: `{"symbol": "EUR/USD", "bid": Decimal("1.0842")}`.  `token` is the
    gateway's PUBLISH_TOKEN.  A request whose answer is lost, or that the gateway cannot serve now,
    is repeated with the same Idempotency-Key until `timeout`, so each quote is published once.  A
    program that repeats its own work after a restart gives the `key` itself; keys count for ten
    minutes.  `wait_stored` waits up to a second until the broker's store has the quotes.  `ended`
    ends the feed after them.

    Raises Refused; QuotesRefused if not one quote was accepted; Unreachable or a transient Refused
    after `timeout`: then it is not known whether the last request took effect.  The exception's
    `published` is what earlier requests of a long list have published.
    """
    lines = lines_of(quotes)
    requester = Requester(addresses(url), token)
    # An empty array, which keeps the feed alive, is no NDJSON.
    headers = {"Content-Type": "application/x-ndjson" if lines else "application/json"}
    if feed:
        headers["X-Feed"] = feed
    result = Published()
    deadline = time.monotonic() + timeout
    rest = list(batches(lines, PER_REQUEST, REQUEST_BYTES))
    for number, (batch, one) in enumerate(zip(rest, keys_of(key)), 1):
        headers["Idempotency-Key"] = one
        parameters = {"stored": 1} if wait_stored else {}
        if ended and number == len(rest):
            parameters["ended"] = 1
        left = max(0.0, deadline - time.monotonic())
        body = "\n".join(batch).encode() if batch else b"[]"
        found: Mapping[str, Any]
        try:
            answer = requester.send("POST", "quotes", parameters, headers, body, timeout=left)
            found = answer.json()
        except Refused as e:
            if e.code != "quotes_refused":
                e.published = result
                raise
            found = e.body
        except Unreachable as e:
            e.published = result
            raise
        try:
            result.add_answer(found, len(batch))
        except ValueError as e:
            odd = bad_answer(e)
            odd.published = result
            raise odd from e
    return checked(result)


class _Stream:
    """Publishing over the stream, without I/O: one message at a time, so quotes keep order."""

    def __init__(self, url: Urls, token: str, feed: Optional[str]) -> None:
        self.link = Link(addresses(url), None)
        self.token = token
        self.feed = feed
        self.count = 0

    def steps(
        self, lines: List[str], key: Optional[str], ended: bool, timeout: float
    ) -> Steps:
        """Publishes and emits a Published."""
        result = Published()
        deadline = time.monotonic() + timeout
        rest, keys = lines, iter(keys_of(key))
        try:
            while True:
                size = (yield from self.connected(deadline)) - 1024
                batch = next(iter(batches(rest, PER_MESSAGE, size)))
                rest = rest[len(batch) :]
                members: Dict[str, Any] = {"key": next(keys)}
                if ended and not rest:
                    members["ended"] = True
                ack = yield from self.publish_one(members, batch, deadline)
                try:
                    result.add_ack(ack, len(batch))
                except ValueError as e:
                    raise bad_answer(e) from e
                if not rest:
                    break
        except PregonError as e:
            e.published = result
            raise
        yield Emit(checked(result))

    def connected(self, deadline: float) -> Generator[Step, Any, int]:
        """Connects if necessary; returns the size of a message."""
        self.link.deadline = deadline
        yield from self.link.connect()
        welcome = self.link.welcome or {}
        try:
            return int(welcome["limits"]["message_bytes"])
        except (KeyError, TypeError, ValueError, OverflowError) as e:
            raise bad_answer("the welcome has no limits") from e

    def publish_one(
        self, members: Mapping[str, Any], batch: List[str], deadline: float
    ) -> Generator[Step, Any, Dict[str, Any]]:
        """Repeats one message with its key until it is acknowledged."""
        tries = 0
        while True:
            yield from self.connected(deadline)
            self.count += 1
            message = {"op": "publish", "id": self.count, "token": self.token, **members}
            if self.feed:
                message["feed"] = self.feed
            text = json.dumps(message)[:-1] + ',"quotes":[' + ",".join(batch) + "]}"
            error: PregonError
            try:
                yield Send(text)
                while True:
                    m = yield from self.link.receive()
                    if m.get("id") == self.count and m.get("type") in ("ack", "error"):
                        break
                    if time.monotonic() > deadline:
                        raise Unreachable("no_answer", "The gateway did not acknowledge in time.")
                self.link.succeeded()
                if m["type"] == "ack":
                    return m
                error = Refused(str(m.get("code")), str(m.get("message")), body=m)
                if error.code not in AGAIN:
                    raise error
            except Disconnected as e:
                error = Unreachable("unreachable", f"{e} before the answer")
                self.link.welcome = None
                yield Close()
            pause = backoff(tries, 5) / 4
            tries += 1
            if time.monotonic() + pause > deadline:
                raise error
            yield Sleep(pause)


class Publisher:
    """Publishes over one WebSocket, for programs that publish all the time.

        with pregon.Publisher("http://127.0.0.1:8000", token="...") as publisher:
            publisher.publish({"symbol": "EUR/USD", "bid": "1.0842"})

    It connects with the first `publish`, and again whenever the connection is lost.  Threads may
    share it; their requests wait for each other.
    """

    def __init__(self, url: Urls, *, token: str, feed: Optional[str] = None) -> None:
        self._stream = _Stream(url, token, feed)
        self._channel = SyncChannel()
        self._lock = threading.Lock()

    def publish(
        self,
        quotes: Union[Publishable, Iterable[Publishable]],
        *,
        key: Optional[str] = None,
        ended: bool = False,
        timeout: float = 60.0,
    ) -> Published:
        """As the function `publish`, with the same promises and exceptions."""
        lines = lines_of(quotes)
        with self._lock:
            (result,) = self._channel.run(self._stream.steps(lines, key, ended, timeout))
        assert isinstance(result, Published)
        return result

    def close(self) -> None:
        with self._lock:
            self._stream.link.welcome = None
            self._channel.close()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncPublisher:
    """The same for asyncio: `async with pregon.AsyncPublisher(...)`, `await p.publish(...)`."""

    def __init__(self, url: Urls, *, token: str, feed: Optional[str] = None) -> None:
        self._stream = _Stream(url, token, feed)
        self._channel = AsyncChannel()
        self._lock: Optional[asyncio.Lock] = None

    async def publish(
        self,
        quotes: Union[Publishable, Iterable[Publishable]],
        *,
        key: Optional[str] = None,
        ended: bool = False,
        timeout: float = 60.0,
    ) -> Published:
        """As the function `publish`, with the same promises and exceptions."""
        lines = lines_of(quotes)
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            steps = self._stream.steps(lines, key, ended, timeout)
            found = [result async for result in self._channel.run(steps)]
        result = found[0]
        assert isinstance(result, Published)
        return result

    async def close(self) -> None:
        self._stream.link.welcome = None
        await self._channel.close()

    async def __aenter__(self) -> AsyncPublisher:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
