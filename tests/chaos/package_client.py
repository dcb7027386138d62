"""A client of the Python package, as a process of its own, in the place of clients.Client.

It runs tests/python/follower.py and records what that prints.  The package chooses the gateway, the
time of a reconnect and the position from which it resumes.
"""

import json
import os
import signal
import subprocess
import threading

from clients import Client
from history import RESET, Connection

FOLLOWER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                        "python", "follower.py")


class PackageClient(Client):
    def __init__(self, history, name, mode, patterns, endpoints, *, python, is_sync, directory):
        self.python, self.is_sync = python, is_sync
        self.log_file = open(os.path.join(directory, name + ".log"), "w", encoding="utf-8")
        super().__init__(history, name, mode, patterns, endpoints, None, small_window=True)

    def _start(self):
        urls = [f"http://127.0.0.1:{port}" for _, port in self.endpoints]
        options = {"urls": urls, "is_sync": self.is_sync, "symbols": self.patterns,
                   "mode": self.mode}
        self.process = subprocess.Popen([self.python, "-u", FOLLOWER, json.dumps(options)],
                                        stdout=subprocess.PIPE, stderr=self.log_file, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._hear(*json.loads(line))
        if not self.is_over:
            self._odd("the program ended by itself")

    def _hear(self, kind, fields):
        if kind == "status":
            getattr(self, "_on_" + fields["phase"])(fields)
        elif kind == "reset":
            self.newest.clear()
            self.position = None
            if self.is_attached:
                self.epoch = fields["epoch"]
                self._note(RESET, self._where(fields["seq"]))
        elif kind == "quote":
            is_quote = fields["prev"] is not None
            self._take({**fields, "type": "quote" if is_quote else "snapshot",
                        "n": fields["extra"].get("n", 0)})
        elif kind in ("state", "lost"):
            if fields.get("reason") == "gap":
                self._odd(f"a gap: {fields}")
            self._take({**fields, "type": kind})
        else:
            self._odd(f"{kind}: {fields}")

    def _on_connecting(self, fields):
        self.connection = Connection(len(self.received.connections), fields["text"], "op",
                                     None, self.history.now())
        self.received.connections.append(self.connection)

    def _on_connected(self, fields):
        c = self.connection
        epoch, _, seq = fields["position"].partition(":")
        self.epoch = epoch
        c.acked, c.ack, c.recovered = self.history.now(), self._where(int(seq)), fields["recovered"]
        self.is_attached = True
        if c.recovered is True:
            c.since = c.ack
            self.resumed += 1
        elif c.recovered is False:
            c.since = self.position
        else:
            self.position = None

    def _on_waiting(self, fields):
        self.is_attached = False
        end = fields["text"].partition(";")[0]
        self.reasons[end] = self.reasons.get(end, 0) + 1
        self.connection.closed, self.connection.end = self.history.now(), end

    def stop_reading(self, seconds):
        """The whole program stands still, so that it is too slow or too silent for the gateway."""
        self.process.send_signal(signal.SIGSTOP)
        threading.Timer(seconds, self.process.send_signal, [signal.SIGCONT]).start()

    def close(self):
        self.is_over = True
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.log_file.close()
