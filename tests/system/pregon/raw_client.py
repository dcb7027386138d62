"""A WebSocket client for frames that no library would send."""

import json
import socket
import struct
import time

import msgpack

from .basics import BINARY, CLOSE, Lost, PATIENCE, TEXT
from .client import matches


def frame_bytes(opcode, payload=b"", *, fin=True, masked=True, declared=None, rsv=0):
    """The bytes of a client's frame; `declared` replaces the payload size in the header."""
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

    def send_message(self, **message):
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

    def receive(self, kind=None, where=None, **fields):
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

    def wait_closed(self):
        """Read to the end; returns the close code, or None if there was no close frame."""
        try:
            while True:
                opcode, payload = self.frame()
                if opcode == CLOSE:
                    self.send_frame(CLOSE, payload[:2])
                elif opcode in (TEXT, BINARY):
                    self.messages.append(
                        (json.loads if opcode == TEXT else msgpack.unpackb)(payload)
                    )
        except (EOFError, ConnectionError):
            return self.close_code

    def reset(self):
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()
