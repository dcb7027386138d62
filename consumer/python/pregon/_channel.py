"""One WebSocket, for asyncio and without it.

The algorithms of this package are generators of steps.  A step says what to do with the WebSocket;
a channel does it and sends the result back into the generator, or throws Disconnected or Refused.
So each algorithm is written once.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import inspect
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Any, AsyncGenerator, Dict, Generator, Optional, Union

import websockets.exceptions
import websockets.sync.client

from ._address import Address
from ._errors import Refused
from ._http import Requester, refusal

_connect: Any
IS_12 = False
try:
    _connect = importlib.import_module("websockets.asyncio.client").connect
except ImportError:
    IS_12 = True
    _connect = importlib.import_module("websockets.legacy.client").connect

OPEN_TIMEOUT = 10.0
CLOSE_TIMEOUT = 1.0


@dataclass(frozen=True)
class Open:
    """Connect.  Result: None."""

    gateway: Address
    token: Optional[str]


@dataclass(frozen=True)
class Send:
    text: str


@dataclass(frozen=True)
class Receive:
    """Result: the text of the next message."""

    patience: float


@dataclass(frozen=True)
class Close:
    pass


@dataclass(frozen=True)
class Sleep:
    seconds: float


@dataclass(frozen=True)
class Emit:
    """Give a value to the program."""

    value: Any


Step = Union[Open, Send, Receive, Close, Sleep, Emit]
Steps = Generator[Step, Any, None]


class Disconnected(Exception):
    """The connection failed or ended, with a close code and its reason."""

    def __init__(self, text: str, code: int = 1006, reason: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.reason = reason


def silent(patience: float) -> Disconnected:
    return Disconnected(f"nothing was heard for {patience:g} s")


def failure(e: BaseException, gateway: Address, token: Optional[str], is_open: bool) -> Exception:
    """What a failure of the WebSocket library means; may ask the gateway."""
    if isinstance(e, ssl.SSLCertVerificationError):
        return e
    if isinstance(e, websockets.exceptions.ConnectionClosed):
        close = e.rcvd
        if close:
            return Disconnected("the gateway closed the connection", close.code, close.reason)
        return Disconnected("the connection was lost")
    response = getattr(e, "response", None)  # of InvalidStatus
    if response is not None:
        return refusal(response.status_code, bytes(response.body or b""), response.headers)
    status = getattr(e, "status_code", None)  # of InvalidStatusCode, in websockets 12
    if status is not None:
        return explained(status, e.headers, gateway, token)  # type: ignore[attr-defined]
    if is_open:
        return Disconnected("the connection was lost")
    text = str(e) or type(e).__name__
    return Disconnected(f"{gateway.given} cannot be reached: {text}")


def explained(
    status: int, headers: Any, gateway: Address, token: Optional[str]
) -> Refused:
    """The refusal of a handshake whose body is unknown: asks the gateway for the reason."""
    known = refusal(status, b"", headers)
    if "X-Reject-Reason" not in headers:
        return known
    query = {"path": f"{gateway.path}?{gateway.query}"}
    try:
        check = Requester([gateway], token).send("GET", "websocket_check", query, timeout=0).json()
    except Exception:
        return known
    if check.get("code") != known.code:
        return known
    return Refused(
        known.code, check["message"], check["hint"], status, check, known.retry_after
    )


def _options(connect: Any, token: Optional[str]) -> Dict[str, Any]:
    known = inspect.signature(connect).parameters
    headers = {"Authorization": "Bearer " + token} if token else {}
    options: Dict[str, Any] = {
        "subprotocols": ["pregon.v1.json"],
        "compression": None,
        "open_timeout": OPEN_TIMEOUT,
        "close_timeout": CLOSE_TIMEOUT,
        "extra_headers" if "extra_headers" in known else "additional_headers": headers,
    }
    if "ping_interval" in known:
        options["ping_interval"] = None  # heartbeats show that the gateway lives
    return options


def _connect_sync(url: str, token: Optional[str]) -> Any:
    connect = websockets.sync.client.connect
    options = _options(connect, token)
    if not IS_12:
        return connect(url, **options)
    # The thread of a connection of websockets 12 would keep the program alive.  Threads that a
    # daemon starts are daemons, too.
    outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def work() -> None:
        try:
            outcome.set_result(connect(url, **options))
        except BaseException as e:
            outcome.set_exception(e)

    threading.Thread(target=work, daemon=True).start()
    return outcome.result()


class SyncChannel:
    def __init__(self) -> None:
        self._socket: Optional[websockets.sync.client.ClientConnection] = None
        self._gateway: Address
        self._token: Optional[str] = None

    def run(self, steps: Steps) -> Generator[Any, None, None]:
        """Does the steps; yields what they emit."""
        result, error = None, None
        try:
            while True:
                try:
                    step = steps.throw(error) if error else steps.send(result)
                except StopIteration:
                    return
                result, error = None, None
                if isinstance(step, Emit):
                    yield step.value
                    continue
                try:
                    result = self._do(step)
                except (Disconnected, Refused, ssl.SSLCertVerificationError) as e:
                    error = e
        finally:
            steps.close()

    def _do(self, step: Step) -> Any:
        if isinstance(step, Sleep):
            time.sleep(step.seconds)
        elif isinstance(step, Close):
            self.close()
        else:
            try:
                return self._use(step)
            except TimeoutError:
                if isinstance(step, Receive):
                    raise silent(step.patience) from None
                raise Disconnected(f"{self._gateway.given} does not answer") from None
            except (OSError, EOFError, websockets.exceptions.WebSocketException) as e:
                is_open = self._socket is not None
                raise failure(e, self._gateway, self._token, is_open) from e
        return None

    def _use(self, step: Step) -> Any:
        if isinstance(step, Open):
            self._gateway, self._token = step.gateway, step.token
            self.close()
            self._socket = _connect_sync(step.gateway.stream, step.token)
            return None
        if self._socket is None:
            raise Disconnected("the connection is closed")
        if isinstance(step, Send):
            return self._socket.send(step.text)
        assert isinstance(step, Receive)
        return self._socket.recv(timeout=step.patience)

    def close(self) -> None:
        socket, self._socket = self._socket, None
        if socket:
            socket.close()


class AsyncChannel:
    def __init__(self) -> None:
        self._socket: Any = None
        self._gateway: Address
        self._token: Optional[str] = None
        self._deadline: Optional[float] = None  # while it waits for a message
        self._timer: Optional[asyncio.TimerHandle] = None
        self._is_silent = False

    async def run(self, steps: Steps) -> AsyncGenerator[Any, None]:
        """Does the steps; yields what they emit."""
        result, error = None, None
        try:
            while True:
                try:
                    step = steps.throw(error) if error else steps.send(result)
                except StopIteration:
                    return
                result, error = None, None
                if isinstance(step, Emit):
                    yield step.value
                    continue
                try:
                    result = await self._do(step)
                except (Disconnected, Refused, ssl.SSLCertVerificationError) as e:
                    error = e
        finally:
            steps.close()

    async def _do(self, step: Step) -> Any:
        if isinstance(step, Sleep):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Close):
            await self.close()
        elif isinstance(step, Receive):
            return await self._receive(step.patience)
        else:
            try:
                await self._use(step)
            except asyncio.TimeoutError:
                raise Disconnected(f"{self._gateway.given} does not answer") from None
            except (OSError, EOFError, websockets.exceptions.WebSocketException) as e:
                raise await self._failure(e) from e
        return None

    async def _failure(self, e: BaseException) -> Exception:
        is_open = self._socket is not None
        if getattr(e, "status_code", None) is None:
            return failure(e, self._gateway, self._token, is_open)
        return await asyncio.to_thread(failure, e, self._gateway, self._token, is_open)

    async def _use(self, step: Step) -> None:
        if isinstance(step, Open):
            self._gateway, self._token = step.gateway, step.token
            await self.close()
            self._socket = await _connect(step.gateway.stream, **_options(_connect, step.token))
            return
        if self._socket is None:
            raise Disconnected("the connection is closed")
        assert isinstance(step, Send)
        await self._socket.send(step.text)

    async def _receive(self, patience: float) -> Any:
        if self._socket is None:
            raise Disconnected("the connection is closed")
        self._deadline = asyncio.get_running_loop().time() + patience
        self._is_silent = False
        if self._timer is None:
            self._watch()
        try:
            return await self._socket.recv()
        except (OSError, EOFError, websockets.exceptions.WebSocketException) as e:
            if self._is_silent:
                raise silent(patience) from None
            raise await self._failure(e) from e
        finally:
            self._deadline = None

    def _watch(self) -> None:
        """One timer looks for silence, because a timer for every message would cost more."""
        self._timer = None
        if self._deadline is None:  # the next _receive starts it again
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._deadline:
            self._timer = loop.call_later(0.5, self._watch)
        elif self._socket:
            self._is_silent = True
            self._socket.transport.abort()

    async def close(self) -> None:
        socket, self._socket = self._socket, None
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if socket:
            await socket.close()
