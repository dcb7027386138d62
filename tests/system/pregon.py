"""The real programs, a feeder and clients, so that a story reads like a conversation.

    broker, gateway = stage.play()
    feed = stage.feed(broker)
    client = stage.client(gateway, "?symbols=EUR/USD")
    feed.quote("EUR/USD", bid="1.0842", ask="1.0843")
    client.hears("quote", symbol="EUR/USD")

Nothing here sleeps for a guess: every wait is for an event (a ready line, a log line, a
message, an exit) or polls a page, and has a deadline that is generous, because it only
decides when a story is lost.  Processes are ended by their own id.
"""

import asyncio
import base64
import dataclasses
import http.client
import json
import os
import re
import secrets
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import msgpack
import websockets
import zmq

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("PREGON_BIN") or os.path.join(ROOT, "build", "release", "bin")
DATA = os.path.join(ROOT, "feeder", "data")

IS_SANITIZED = bool(re.search(r"address|thread|undefined|san\b", BIN))
PATIENCE = 15 * (5 if IS_SANITIZED else 1)  # seconds until a story counts as lost
POLL = 0.02  # seconds between two looks at a page

STREAM = "/ws/cotizaciones"
SANITIZER = re.compile(r"ERROR: \w*Sanitizer|runtime error:|WARNING: ThreadSanitizer")

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Lost(AssertionError):
    """What a story waited for did not come."""


def eventually(look, until=bool, what="it", patience=None):
    """Look again and again until what is seen is right; returns it."""
    deadline = time.monotonic() + (patience or PATIENCE)
    pause = threading.Event()
    while True:
        seen = look()
        if until(seen):
            return seen
        if time.monotonic() > deadline:
            raise Lost(f"{what} did not come true; last seen: {str(seen)[:2000]}")
        pause.wait(POLL)


# --- processes --------------------------------------------------------------------------


def plain_environment():
    return {k: v for k, v in os.environ.items() if k == "PATH" or k.endswith("SAN_OPTIONS")}


def is_secret(name):
    """Such a setting has no flag, because the list of processes shows those."""
    return name.endswith("_token")


class Process:
    """One of our programs.  Started again it keeps its addresses, and its log goes on."""

    def __init__(self, name, program, settings, *, cwd, env=None, stdin=None, flags=(),
                 descriptors=None, command=None):
        self.name = name
        self.program = program
        self.settings = dict(settings)
        self.command = command
        self.flags = list(flags)
        self.cwd = cwd
        self.env = dict(env or {})
        self.stdin = stdin
        self.descriptors = descriptors
        self.lines = []  # (stream, text), of all its lives
        self.ready = {}
        self.process = None
        self.changed = threading.Condition()
        self.expected = {0}  # exit codes that are right for this life
        self.readers = []

    def arguments(self):
        if self.command:
            return list(self.command)
        args = [os.path.join(BIN, "pregon-" + self.program)]
        for name, value in self.settings.items():
            if is_secret(name):
                continue
            for one in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(one, bool):
                    one = int(one)
                args.append(f"--{name.replace('_', '-')}={one}")
        return args + self.flags

    def start(self, wait=True):
        # The environment of whoever runs the tests must not become a setting.
        env = plain_environment()
        env.setdefault("ASAN_OPTIONS", "quarantine_size_mb=16")
        env.update({name.upper(): value for name, value in self.settings.items()
                    if is_secret(name)})
        env.update(self.env)

        def prepare():
            if self.descriptors:
                import resource

                resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors,) * 2)

        self.ready = {}
        self.is_ready = False
        self.mark = len(self.lines)
        self.expected = {0}
        self.process = subprocess.Popen(
            self.arguments(),
            cwd=self.cwd,
            env=env,
            stdin=self.stdin if self.stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=prepare if self.descriptors else None,
        )
        self.readers = [
            threading.Thread(target=self._read, args=(name, file), daemon=True)
            for name, file in (("out", self.process.stdout), ("err", self.process.stderr))
        ]
        for reader in self.readers:
            reader.start()
        if wait:
            self.wait_ready()
        return self

    def _read(self, stream, file):
        for raw in file:
            text = raw.decode(errors="backslashreplace").rstrip("\n")
            with self.changed:
                self.lines.append((stream, text))
                if stream == "out" and text.startswith("ready "):
                    self.ready = dict(w.split("=", 1) for w in text.split()[1:])
                    self.is_ready = True
                self.changed.notify_all()
        file.close()
        with self.changed:
            self.changed.notify_all()

    def wait_ready(self):
        with self.changed:
            self.changed.wait_for(
                lambda: self.is_ready or not any(r.is_alive() for r in self.readers), PATIENCE
            )
        if not self.is_ready:
            raise Lost(f"{self.name} did not get ready")
        if self.program == "broker":
            for key in ("ingest", "publish", "control"):
                self.settings["broker_" + key] = self.ready[key]
        elif self.program == "gateway":
            self.settings["port"] = self.port
        return self

    # what it says

    def log(self, stream=None):
        with self.changed:
            return [text for s, text in self.lines if stream in (None, s)]

    def logged(self, pattern, stream=None):
        return [m for m in (re.search(pattern, text) for text in self.log(stream)) if m]

    def says(self, pattern, after=0, stream=None, patience=None):
        """Wait for a line; the first after the given number of lines."""
        found = None

        def look():
            nonlocal found
            for s, text in self.lines[after:]:
                found = re.search(pattern, text) if stream in (None, s) else None
                if found:
                    return True
            return False

        with self.changed:
            if not self.changed.wait_for(look, patience or PATIENCE):
                raise Lost(f"{self.name} never said {pattern!r}")
        return found

    def here(self):
        """How much it has said: for `says(…, after=)`."""
        with self.changed:
            return len(self.lines)

    # how it ends

    @property
    def pid(self):
        """None if it was never started."""
        return self.process and self.process.pid

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def ends(self, code=0):
        """Wait until it ends by itself."""
        self.expected = {code}
        try:
            self.process.wait(PATIENCE + 15)
        except subprocess.TimeoutExpired:
            raise Lost(f"{self.name} did not end") from None
        for reader in self.readers:
            reader.join(PATIENCE)
        got = self.process.returncode
        assert got == code, f"{self.name} ended with {got}, not {code}"
        return self

    def stop(self, code=0):
        self.signal(signal.SIGTERM)
        return self.ends(code)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.ends(-signal.SIGKILL)

    def write(self, data):
        self.process.stdin.write(data.encode() if isinstance(data, str) else data)
        self.process.stdin.flush()

    def end_of_input(self):
        self.process.stdin.close()

    # what it costs

    def rss(self):
        """Bytes in memory."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def ticks(self):
        """Processor time used so far; the kernel's unit, a hundred a second."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def descriptors_open(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    # where it is

    @property
    def url(self):
        return self.ready["http"]

    @property
    def port(self):
        return int(self.ready["http"].rsplit(":", 1)[1])

    @property
    def address(self):
        return "127.0.0.1", self.port

    # what its pages say

    def get(self, path, method="GET", headers=None, body=None):
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.reason, answer.headers, answer.read())
        finally:
            connection.close()

    def page(self, name, **headers):
        """A page under /cotizaciones/ as a dict."""
        return self.get("/cotizaciones/" + name, headers=headers).json()

    def status(self):
        return self.page("websocket_status")


@dataclasses.dataclass
class Answer:
    status: int
    reason: str
    headers: object
    body: bytes
    socket: object = None  # a RawClient after 101

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """Of an error body."""
        return self.json()["error"]["code"]


# --- control ------------------------------------------------------------------------------


class Control:
    """Asks the broker."""

    def __init__(self, context, broker):
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(broker.ready["control"])
        self.id = 0

    def send(self, data):
        self.socket.send(data)

    def receive(self, patience=None):
        if not self.socket.poll((patience or PATIENCE) * 1000):
            raise Lost("the broker did not answer")
        return msgpack.unpackb(self.socket.recv(), strict_map_key=False)

    def ask(self, op, **members):
        self.id += 1
        self.send(msgpack.packb({"op": op, "id": self.id, **members}))
        while True:
            answer = self.receive()
            if answer.get("id") == self.id:
                return answer

    def settled(self):
        """The broker has heard all that was sent so far, and answered nothing else since."""
        self.send(msgpack.packb({"op": "status", "id": 0}))
        assert self.receive()["id"] == 0

    def close(self):
        self.socket.close()


class Locker:
    """One owner of locks; speaks to the broker as docs/protocol/wire.md says."""

    def __init__(self, context, broker, owner):
        self.owner = owner
        self.control = Control(context, broker)
        self.tokens = {}  # of the last grant, by name

    def lock(self, name, ttl_ms=1000, **members):
        """The answer; how long a broker may take for it is the caller's wait_ms."""
        answer = self.control.ask("lock", name=name, owner=self.owner, ttl_ms=ttl_ms, **members)
        self.tokens[name] = answer["token"] if "error" not in answer else self.tokens.get(name)
        return answer

    def begin_lock(self, name, ttl_ms=1000, **members):
        """Ask and go on; `answered` waits for what comes."""
        self.control.id += 1
        self.control.send(msgpack.packb({"op": "lock", "id": self.control.id, "name": name,
                                         "owner": self.owner, "ttl_ms": ttl_ms, **members}))
        return self

    def answered(self):
        answer = self.control.receive()
        assert answer["id"] == self.control.id, answer
        if "error" not in answer:
            self.tokens[answer["name"]] = answer["token"]
        return answer

    def acquire(self, name, ttl_ms=1000, **members):
        """Granted sooner or later, or the story is lost; the token."""
        eventually(lambda: self.lock(name, ttl_ms, keep=True, **members),
                   lambda a: "error" not in a, f"{self.owner} gets {name}")
        return self.tokens[name]

    def _with(self, op, name, token=None, **members):
        return self.control.ask(op, name=name, owner=self.owner,
                                token=token or self.tokens[name], **members)

    def renew(self, name, token=None, **members):
        return self._with("renew", name, token, **members)

    def release(self, name, token=None):
        return self._with("release", name, token)

    def put(self, name, value, token=None):
        return self._with("value_put", name, token, value=value)

    def get(self, name):
        return self.control.ask("value_get", name=name)

    def entry(self, name):
        (entry,) = self.control.ask("locks", name=name)["locks"]
        return entry

    def close(self):
        self.control.close()


class Feed:
    """A feeder after docs/protocol/wire.md, in a thread that keeps its name alive.

    A quote is sent as it is said; `received` tells how far the broker has come.  Lines are
    kept, and sent again when the broker asks.
    """

    HEARTBEAT = 0.25
    OPENING = 0.1
    SILENCE = 1.5

    def __init__(self, context, broker, name="feed", **hello):
        self.name = name
        self.broker = broker
        self.owner = secrets.token_hex(8)
        self.hello = {"allow_crossed": False, **hello}
        self.lines = []  # frames without epoch, by number - 1
        self.received = 0
        self.epoch = 0
        self.refusal = None
        self.is_open = False
        self.is_silent = False
        self.resent = 0
        self.changed = threading.Condition(threading.RLock())
        self.publisher = context.socket(zmq.PUB)
        self.publisher.linger = 0
        self.publisher.sndhwm = 0
        self.publisher.connect(broker.ready["ingest"])
        self.control = context.socket(zmq.DEALER)
        self.control.linger = 0
        self.control.connect(broker.ready["control"])
        self.has_ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    # what a story says

    def opened(self):
        with self.changed:
            if not self.changed.wait_for(lambda: self.is_open or self.refusal, PATIENCE):
                raise Lost(f"feed {self.name} was not let in")
        return self

    def quote(self, symbol, **fields):
        """Send a quote; returns its line."""
        fields.setdefault("timestamp", time.time())
        return self.line(symbol.encode() + b" ", fields)

    def line(self, topic, body):
        with self.changed:
            self.lines.append((topic, body))
            number = len(self.lines)
            if self.is_open:
                self._send_line(number)
        return number

    def settled(self, line=None):
        """Wait until the broker has taken in all lines so far."""
        with self.changed:
            line = line or len(self.lines)
            if not self.changed.wait_for(lambda: self.received >= line, PATIENCE):
                raise Lost(f"feed {self.name}: {self.received} of {line} lines received")
        return self

    def fall_silent(self):
        """As a process that hangs."""
        with self.changed:
            self.is_silent = True

    def goodbye(self):
        with self.changed:
            self.control.send(
                msgpack.packb({"op": "goodbye", "id": 99999, "epoch": self.epoch})
            )
            self.is_silent = True

    def raw(self, *frames):
        with self.changed:
            self.publisher.send_multipart(frames)

    def close(self):
        self.has_ended = True
        self.thread.join()
        self.publisher.close()
        self.control.close()

    # the thread

    def _send_line(self, number):
        topic, body = self.lines[number - 1]
        if isinstance(body, dict):
            body = msgpack.packb(body)
        now = int(time.time() * 1e6)
        head = struct.pack(
            ">BBBQBQBQBQBQ", 0x97, 1, 0xCF, self.epoch, 0xCF, number, 0xCF, 0, 0xCF, now, 0xCF, 0
        )
        self.publisher.send_multipart([topic, head + body])

    def _say_hello(self):
        self.control.send(
            msgpack.packb(
                {
                    "op": "hello",
                    "id": 1,
                    "role": "feeder",
                    "name": self.name,
                    "owner": self.owner,
                    "oldest": 1,
                    "newest": 1,
                    "acked": self.received,
                    "host": "story",
                    "pid": os.getpid(),
                    **self.hello,
                }
            )
        )

    def _heartbeat(self):
        last = len(self.lines) if self.is_open else self.received
        self.publisher.send_multipart(
            [b"!heartbeat ", msgpack.packb([4, self.epoch, last, 0, 0, 0, None])]
        )

    def _take(self, message):
        if message.get("re") == "hello":
            if "error" in message:
                self.refusal = message
                return
            self.refusal = None
            self.epoch = message["epoch"]
            self.received = message["received"]
        elif message.get("op") == "received" and message["epoch"] == self.epoch:
            self.received = max(self.received, message["line"])
            self.heard_at = time.monotonic()
            if not self.is_open:
                self.is_open = True
                for number in range(self.received + 1, len(self.lines) + 1):
                    self._send_line(number)
        elif message.get("op") == "resend" and message["epoch"] == self.epoch:
            self.resent += 1
            for number in range(message["from"], len(self.lines) + 1):
                self._send_line(number)
        self.changed.notify_all()

    def _run(self):
        self.heard_at = time.monotonic()
        hello_at = beat_at = 0.0
        while not self.has_ended:
            if self.control.poll(10):
                with self.changed:
                    if not self.is_silent:
                        self._take(msgpack.unpackb(self.control.recv(), strict_map_key=False))
                    else:
                        self.control.recv()
            now = time.monotonic()
            with self.changed:
                if self.is_silent:
                    continue
                if self.epoch and now - self.heard_at > self.SILENCE:
                    self.epoch = 0
                    self.is_open = False
                if not self.epoch and now >= hello_at:
                    hello_at = now + 0.25
                    self.heard_at = now
                    self._say_hello()
                elif self.epoch and now >= beat_at:
                    beat_at = now + (self.HEARTBEAT if self.is_open else self.OPENING)
                    self._heartbeat()


# --- clients ----------------------------------------------------------------------------------


class _Reactor:
    """One asyncio loop in a thread of its own for all WebSocket clients."""

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
    """A WebSocket client of the `websockets` library that collects what it hears."""

    def __init__(self, gateway, query="", *, path=STREAM, subprotocol=None, origin=None,
                 headers=None, keep=True):
        self.messages = []  # decoded, in order
        self.raw = []
        self.keep = keep
        self.at = 0  # up to where the story has listened
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

    def says(self, **message):
        if self.subprotocol == "pregon.v1.msgpack":
            self.send(msgpack.packb(message))
        else:
            self.send(json.dumps(message))

    def asks(self, op, **message):
        """Send a request and return its ack or error."""
        self.id += 1
        message.setdefault("id", self.id)
        self.says(op=op, **message)
        return self.hears(("ack", "error"), id=message["id"])

    # hearing

    def hears(self, kind=None, where=None, patience=None, **fields):
        """The next message of that kind with those fields; what comes before is passed over."""
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
        return self.hears()

    def heard(self, kind=None, **fields):
        """All such messages so far."""
        with self.changed:
            return [m for m in self.messages if matches(m, kind, fields)]

    def text_of(self, message):
        """As it came over the wire."""
        with self.changed:
            return self.raw[next(i for i, m in enumerate(self.messages) if m is message)]

    def is_told(self, look, what="it"):
        """Wait until a condition on all messages holds."""
        with self.changed:
            if not self.changed.wait_for(lambda: look(self.messages), PATIENCE):
                raise Lost(f"{what} never became true; last: {self.messages[-5:]}")

    # ending

    def closed(self):
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
        """Away without a word (RST)."""
        if self.end is not None:
            return

        async def cut():
            sock = self.socket.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.transport.abort()

        REACTOR.run(cut())


def frame_bytes(opcode, payload=b"", *, fin=True, masked=True, declared=None, rsv=0):
    """A client's frame; `declared` may lie about the size of what follows."""
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload) if declared is None else declared
    head = bytearray([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if masked else 0
    if size < 126:
        head.append(bit | size)
    elif size < 65536:
        head += struct.pack(">BH", bit | 126, size)
    else:
        head += struct.pack(">BQ", bit | 127, size)
    if masked:
        key = b"\x01\x02\x03\x04"
        head += key
        payload = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
    return bytes(head) + payload


class RawClient:
    """A socket after the handshake, for frames no library would send."""

    def __init__(self, sock, rest=b""):
        self.socket = sock
        self.buffer = bytearray(rest)
        self.messages = []
        self.close_code = None  # of the close frame, once it has come
        self.reason = ""

    def send_bytes(self, data):
        self.socket.sendall(data)

    def send_frame(self, opcode, payload=b"", **how):
        self.send_bytes(frame_bytes(opcode, payload, **how))

    def says(self, **message):
        self.send_frame(TEXT, json.dumps(message))

    def _need(self, count):
        while len(self.buffer) < count:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data

    def frame(self):
        """The next frame: (opcode, payload)."""
        self._need(2)
        opcode, size, at = self.buffer[0] & 15, self.buffer[1] & 127, 2
        if size == 126:
            self._need(4)
            size, at = struct.unpack_from(">H", self.buffer, 2)[0], 4
        elif size == 127:
            self._need(10)
            size, at = struct.unpack_from(">Q", self.buffer, 2)[0], 10
        self._need(at + size)
        payload = bytes(self.buffer[at : at + size])
        del self.buffer[: at + size]
        if opcode == CLOSE:
            self.close_code = struct.unpack_from(">H", payload)[0] if size > 1 else 1005
            self.reason = payload[2:].decode()
        return opcode, payload

    def hears(self, kind=None, where=None, **fields):
        """The next message of that kind; pings are not answered."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                raise EOFError(f"closed with {self.close_code} {self.reason}")
            if opcode not in (TEXT, BINARY):
                continue
            message = (json.loads if opcode == TEXT else msgpack.unpackb)(payload)
            self.messages.append(message)
            if matches(message, kind, fields) and (not where or where(message)):
                return message
        raise Lost(f"never heard {kind} {fields}")

    def closed(self):
        """Read on to the end; the close code, or None if there was no close frame."""
        try:
            while True:
                opcode, payload = self.frame()
                if opcode == CLOSE:
                    self.send_frame(CLOSE, payload[:2])
                elif opcode in (TEXT, BINARY):
                    self.messages.append((json.loads if opcode == TEXT else msgpack.unpackb)(payload))
        except (EOFError, ConnectionError):
            return self.close_code

    def reset(self):
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


def new_key():
    return base64.b64encode(secrets.token_bytes(16)).decode()


def connect(gateway, receive_buffer=None):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(gateway.address)
    return sock


def read_answer(sock):
    """One HTTP response; after 101 the socket goes on as a RawClient."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise EOFError(f"the connection ended after {data!r}")
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    _, status, reason = (first + " ").split(" ", 2)
    headers = http.client.HTTPMessage()
    for line in lines:
        name, value = line.split(":", 1)
        headers[name] = value.strip()
    if status == "101":
        return Answer(101, reason.strip(), headers, b"", RawClient(sock, rest))
    while True:
        try:
            more = sock.recv(65536)
        except ConnectionError:
            more = b""
        if not more:
            break
        rest += more
    sock.close()
    return Answer(int(status), reason.strip(), headers, rest)


def handshake_bytes(path=STREAM, method="GET", headers=None, host="127.0.0.1", version="HTTP/1.1"):
    """A handshake; a header given as None is left out, a list is sent several times."""
    fields = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": new_key(),
    }
    fields.update(headers or {})
    text = f"{method} {path} {version}\r\n"
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                text += f"{name}: {one}\r\n"
    return (text + "\r\n").encode("latin-1")


# --- the stage ----------------------------------------------------------------------------------


class Proxy:
    """Stands between a program and one of the broker's addresses, until it is cut."""

    def __init__(self, address):
        host, port = address.removeprefix("tcp://").split(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.pairs = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        try:
            while True:
                near, _ = self.listener.accept()
                try:
                    far = socket.create_connection(self.target)
                except OSError:  # nobody is there at the moment: whoever came will come again
                    near.close()
                    continue
                self.pairs.append((near, far))
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(a, b), daemon=True).start()
        except OSError:
            pass

    @staticmethod
    def _pass(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass

    def cut(self):
        """End every connection there is; new ones are let through."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()

    def close(self):
        self.listener.close()
        self.cut()


class Stage:
    """All that one story starts; leaving it ends everything and checks how it ended."""

    all = []  # of the running test, for the logs of a failing story

    def __init__(self):
        Stage.all.append(self)
        self.directory = tempfile.TemporaryDirectory(prefix="pregon-")
        self.context = zmq.Context()
        self.processes = []
        self.peers = []  # things with close()
        self.is_over = False

    def path(self, name, text=None):
        path = os.path.join(self.directory.name, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        return path

    def process(self, program, settings, wait=True, name=None, **how):
        count = sum(p.program == program for p in self.processes)
        process = Process(
            name or (f"{program}{count + 1}" if count else program),
            program,
            settings,
            cwd=self.directory.name,
            **how,
        )
        self.processes.append(process)
        return process.start(wait)

    def broker(self, wait=True, env=None, flags=(), descriptors=None, **settings):
        anywhere = {f"broker_{key}": "tcp://127.0.0.1:0" for key in ("ingest", "publish", "control")}
        return self.process("broker", {**anywhere, **settings}, wait, env=env, flags=flags,
                            descriptors=descriptors)

    def gateway(self, broker=None, wait=True, env=None, flags=(), descriptors=None, **settings):
        """Without a broker: one that asks where nobody is."""
        if broker is None:
            nobody = {"broker_publish": free_address(), "broker_control": free_address()}
        else:
            nobody = {k: broker.settings[k] for k in ("broker_publish", "broker_control")}
        return self.process("gateway", {"port": 0, **nobody, **settings}, wait, env=env,
                            flags=flags, descriptors=descriptors)

    def feeder(self, broker, source, wait=True, env=None, flags=(), stdin=None, **settings):
        if source == "-" and stdin is None:
            stdin = subprocess.PIPE
        where = {k: broker.settings[k] for k in ("broker_ingest", "broker_control")}
        return self.process("feeder", {"source": source, **where, **settings}, wait, env=env,
                            flags=flags, stdin=stdin)

    def play(self, **settings):
        """A broker and a gateway with those settings."""
        broker = self.broker()
        return broker, self.gateway(broker, **settings)

    def _with(self, peer):
        self.peers.append(peer)
        return peer

    def feed(self, broker, name="feed", wait=True, **hello):
        feed = self._with(Feed(self.context, broker, name, **hello))
        return feed.opened() if wait else feed

    def proxy(self, address):
        return self._with(Proxy(address))

    def control(self, broker):
        return self._with(Control(self.context, broker))

    def locker(self, broker, owner):
        return self._with(Locker(self.context, broker, owner))

    def client(self, gateway, query="", **how):
        return self._with(Client(gateway, query, **how))

    def connect(self, gateway, **how):
        return self._with(connect(gateway, **how))

    def handshake(self, gateway, receive_buffer=None, **how):
        """Perform a handshake by hand; the answer."""
        sock = self.connect(gateway, receive_buffer=receive_buffer)
        how.setdefault("host", f"127.0.0.1:{gateway.port}")
        sock.sendall(handshake_bytes(**how))
        return read_answer(sock)

    def raw_client(self, gateway, query="", **how):
        answer = self.handshake(gateway, path=STREAM + query, **how)
        assert answer.status == 101, answer
        return answer.socket

    def end(self):
        """Everything stops; each process must have ended as it should, and cleanly."""
        wrong = []
        for peer in self.peers:
            try:
                if isinstance(peer, Client):
                    peer.abort()
                else:
                    peer.close()
            except Exception as e:  # the others must be closed all the same
                wrong.append(f"closing {type(peer).__name__}: {e!r}")
        # Against the flow, so that a broker still hears the others' goodbye.
        order = {"feeder": 0, "driver": 0, "tail": 0, "gateway": 1, "broker": 2}
        for p in sorted(self.processes, key=lambda p: order.get(p.program, 0)):
            try:
                if p.is_running:
                    p.signal(signal.SIGCONT)  # a story may have stopped it
                    p.stop()
            except AssertionError as e:
                wrong.append(str(e))
                if p.is_running:
                    p.process.kill()
                    p.process.wait()
        for p in self.processes:
            for reader in p.readers:
                reader.join(PATIENCE)
            if p.process.stdin:
                try:
                    p.process.stdin.close()
                except OSError:
                    pass
            if p.process.returncode not in p.expected:
                wrong.append(f"{p.name} ended with {p.process.returncode}")
            wrong += [f"{p.name}: {text}" for _, text in p.lines if SANITIZER.search(text)]
        self.context.term()
        self.directory.cleanup()
        self.is_over = True
        assert not wrong, "\n".join(wrong)


def free_address():
    """An address on loopback where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{s.getsockname()[1]}"
