"""A client of server-sent events: http.client and the rules of the WHATWG's event stream."""

import http.client
import json
import socket
import struct
import threading

from .basics import EVENTS, Lost, PATIENCE
from .client import Client


class EventClient(Client):
    """It collects what it hears like a Client, and has the stream's last event ID and retry."""

    def __init__(self, gateway, query="", *, last_event_id=None, headers=None, reads=True,
                 receive_buffer=None):
        self.messages, self.raw, self.ids = [], [], []  # ids: the last event ID after each message
        self.at = self.id = 0
        self.end = None
        self.changed = threading.Condition()
        self.last_event_id, self.retry = last_event_id or "", None
        headers = {"Accept": "text/event-stream", **(headers or {})}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        self.connection = http.client.HTTPConnection(*gateway.address, timeout=PATIENCE)
        if receive_buffer:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.settimeout(PATIENCE)
            sock.connect(gateway.address)
            self.connection.sock = sock
        self.connection.request("GET", EVENTS + query, headers=headers)
        self.socket = self.connection.sock
        self.answer = self.connection.getresponse()
        self.status, self.headers = self.answer.status, self.answer.headers
        if self.status != 200:
            raise Lost(f"{self.status}: {self.answer.read()!r}")
        self.reader = threading.Thread(target=self._listen, daemon=True)
        if reads:
            self.reader.start()

    def read(self):
        """Begin to read, if it did not do so at once."""
        self.reader.start()

    def _listen(self):
        data, last_id = [], self.last_event_id
        try:
            for line in self.answer:
                line = line.decode().removesuffix("\n")
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not line:
                    self._dispatch(data, last_id)
                    data = []
                elif field == "data":
                    data.append(value)
                elif field == "id":
                    last_id = value
                elif field == "retry":
                    self.retry = int(value) / 1000
                else:
                    assert not field, line  # a comment
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass  # the connection was lost, or closed here
        with self.changed:
            self.end = (None, None)
            self.changed.notify_all()

    def _dispatch(self, data, last_id):
        with self.changed:
            self.last_event_id = last_id
            if data:
                self.raw.append("\n".join(data))
                self.messages.append(json.loads(self.raw[-1]))
                self.ids.append(last_id)
            self.changed.notify_all()

    def abort(self):
        """Away with RST."""
        if self.socket.fileno() >= 0:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
