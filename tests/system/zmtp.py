"""A ZeroMQ peer by hand, over a plain socket: it decides itself when it reads and what it sends.

Used by the attacks: libzmq's own peers read in the background and refuse to send what is wrong.
"""

import contextlib
import select
import socket
import threading

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\0" + bytes(31)
PATIENCE = 10


MORE, COMMAND = 1, 4  # flags of a frame


def frame(body, flags=0):
    if len(body) < 256:
        return bytes((flags, len(body))) + body
    return bytes((flags | 2,)) + len(body).to_bytes(8, "big") + body


def command(name, body):
    return frame(bytes((len(name),)) + name + body, COMMAND)


def _property(name, value):
    return bytes((len(name),)) + name + len(value).to_bytes(4, "big") + value


def open_peer(address, kind, receive_buffer=None):
    """A connected socket whose handshake as `kind` ("DEALER", "SUB", "PUB") is done."""
    host, port = address.removeprefix("tcp://").split(":")
    s = socket.socket()
    s.settimeout(PATIENCE)
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.connect((host, int(port)))
    properties = _property(b"Socket-Type", kind.encode())
    if kind == "DEALER":
        properties += _property(b"Identity", b"")
    s.sendall(GREETING + command(b"READY", properties))
    _read(s, len(GREETING))
    head = _read(s, 2)
    _read(s, head[1])
    return s


def _read(s, count):
    data = b""
    while len(data) < count:
        got = s.recv(count - len(data))
        if not got:
            raise ConnectionError("closed during the handshake")
        data += got
    return data


def read_message(s):
    """The next frame that is no command."""
    while True:
        flags = _read(s, 1)[0]
        size = int.from_bytes(_read(s, 8 if flags & 2 else 1), "big")
        body = _read(s, size)
        if not flags & 4:
            return body


class Attack:
    """`count` peers that do `work(socket, attack)` in threads until stop()."""

    def __init__(self, address, kind, count=1, receive_buffer=None):
        self.address, self.kind, self.count = address, kind, count
        self.receive_buffer = receive_buffer
        self.has_ended = threading.Event()
        self.cut = 0  # connections that the broker ended
        self.threads = []

    def start(self):
        for _ in range(self.count):
            self.threads.append(threading.Thread(target=self._run, daemon=True))
            self.threads[-1].start()
        return self

    def stop(self):
        self.has_ended.set()
        for t in self.threads:
            t.join(PATIENCE)

    close = stop

    def _run(self):
        try:
            with contextlib.closing(open_peer(self.address, self.kind,
                                              self.receive_buffer)) as s:
                s.settimeout(0.1)
                self.work(s)
        except OSError:
            self.cut += 1

    def send(self, s, data):
        """Send all of it, or as much as possible before the attack ends."""
        view = memoryview(data)
        while view and not self.has_ended.is_set():
            with contextlib.suppress(TimeoutError):
                view = view[s.send(view):]

    def work(self, s):
        raise NotImplementedError


class EndlessMultipart(Attack):
    """Sends frames that all say "more follows"."""

    def __init__(self, address, kind, body=b"", **how):
        super().__init__(address, kind, **how)
        self.data = frame(body, MORE) * max(1, 65536 // (len(body) + 2))

    def work(self, s):
        while not self.has_ended.is_set():
            self.send(s, self.data)


class DeafAsker(Attack):
    """Sends a request again and again and reads no answer."""

    def __init__(self, address, request, **how):
        super().__init__(address, "DEALER", receive_buffer=4096, **how)
        self.data = frame(request)

    def work(self, s):
        while not self.has_ended.is_set():
            self.send(s, self.data)


class DeafSubscriber(Attack):
    """Subscribes to everything and reads nothing."""

    def __init__(self, address, **how):
        super().__init__(address, "SUB", receive_buffer=4096, **how)

    def work(self, s):
        self.send(s, frame(b"\1"))
        poll = select.poll()
        poll.register(s, select.POLLRDHUP)
        while not self.has_ended.is_set():
            if poll.poll(100):
                raise ConnectionError("closed by the other side")
