"""A WebSocket client of the `websockets` library."""

import asyncio
import json
import socket
import struct
import threading

import msgpack
import websockets

from .basics import Lost, PATIENCE, STREAM


class _Reactor:
    """One asyncio loop in a separate thread, for all WebSocket clients."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine, patience=None):
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(patience or PATIENCE)
        except asyncio.TimeoutError:
            future.cancel()
            raise Lost("a WebSocket operation did not end") from None


REACTOR = _Reactor()


def matches(message, kind, fields):
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return (kind is None or message.get("type") in kinds) and all(
        message.get(k) == v for k, v in fields.items()
    )


class Client:
    """A WebSocket client of the `websockets` library that collects the messages that it
    receives."""

    def __init__(self, gateway, query="", *, path=STREAM, subprotocol=None, origin=None,
                 headers=None, keep=True):
        self.messages = []  # decoded, in order
        self.raw = []
        self.keep = keep
        self.at = 0  # up to where the test has listened
        self.end = None  # (code, reason)
        self.changed = threading.Condition()
        self.id = 0

        async def connect():
            return await websockets.connect(
                f"ws://127.0.0.1:{gateway.port}{path}{query}",
                subprotocols=[subprotocol] if subprotocol else None,
                origin=origin,
                extra_headers=headers or {},
                compression=None,
                ping_interval=None,
                max_queue=None,
                max_size=None,
                open_timeout=PATIENCE,
                close_timeout=PATIENCE,
            )

        self.socket = REACTOR.run(connect())
        self.subprotocol = self.socket.subprotocol
        self.local_port = self.socket.local_address[1]
        asyncio.run_coroutine_threadsafe(self._listen(), REACTOR.loop)

    async def _listen(self):
        try:
            async for frame in self.socket:
                message = (
                    json.loads(frame)
                    if isinstance(frame, str)
                    else msgpack.unpackb(frame, strict_map_key=False)
                )
                with self.changed:
                    self.messages.append(message)
                    if self.keep:
                        self.raw.append(frame)
                    self.changed.notify_all()
        except websockets.ConnectionClosed:
            pass
        with self.changed:
            self.end = (self.socket.close_code, self.socket.close_reason)
            self.changed.notify_all()

    # saying

    def send(self, data):
        REACTOR.run(self.socket.send(data))

    def send_message(self, **message):
        if self.subprotocol == "pregon.v1.msgpack":
            self.send(msgpack.packb(message))
        else:
            self.send(json.dumps(message))

    def request(self, op, **message):
        """Send a request and return its ack or error."""
        self.id += 1
        message.setdefault("id", self.id)
        self.send_message(op=op, **message)
        return self.receive(("ack", "error"), id=message["id"])

    # hearing

    def receive(self, kind=None, where=None, patience=None, **fields):
        """Wait for the next message of that kind with those fields; earlier messages are
        skipped."""
        found = None

        def look():
            nonlocal found
            while self.at < len(self.messages):
                message = self.messages[self.at]
                self.at += 1
                if matches(message, kind, fields) and (not where or where(message)):
                    found = message
                    return True
            return self.end is not None

        with self.changed:
            self.changed.wait_for(look, patience or PATIENCE)
        if not found:
            raise Lost(
                f"never heard {kind} {fields}; closed: {self.end}; "
                f"last: {self.messages[-5:]}"
            )
        return found

    def next(self):
        """The very next message."""
        return self.receive()

    def received(self, kind=None, **fields):
        """All such messages so far."""
        with self.changed:
            return [m for m in self.messages if matches(m, kind, fields)]

    def text_of(self, message):
        """The message as the text that was received."""
        with self.changed:
            return self.raw[next(i for i, m in enumerate(self.messages) if m is message)]

    def wait_until(self, look, what="it"):
        """Wait until a condition on all messages holds."""
        with self.changed:
            if not self.changed.wait_for(lambda: look(self.messages), PATIENCE):
                raise Lost(f"{what} never became true; last: {self.messages[-5:]}")

    # ending

    def wait_closed(self):
        """Wait for the end; (code, reason)."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.end, PATIENCE):
                raise Lost("the connection was not closed")
        return self.end

    @property
    def is_open(self):
        return self.end is None

    def close(self):
        if self.end is None:
            REACTOR.run(self.socket.close())

    def abort(self):
        """End the connection with a RST, without a close frame."""
        if self.end is not None:
            return

        async def cut():
            # the gateway has closed the connection in the meantime
            if self.socket.transport.is_closing():
                return
            sock = self.socket.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.transport.abort()

        REACTOR.run(cut())
