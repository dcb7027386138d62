"""HTTP and WebSocket handshakes by hand."""

import base64
import dataclasses
import http.client
import json
import secrets
import socket

from .basics import PATIENCE, STREAM
from .raw_client import RawClient


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
        """The error code in the body."""
        return self.json()["error"]["code"]


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
    """Read one HTTP response; after a 101 the socket continues as a RawClient."""
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
    """The bytes of a handshake; a header given as None is omitted, a list is sent several times."""
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
