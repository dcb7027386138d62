"""Requests to a broker, and an owner of locks."""

import msgpack
import zmq

from .basics import Lost, PATIENCE, eventually


class Control:
    """Sends requests to the broker."""

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

    def request(self, op, **members):
        self.id += 1
        self.send(msgpack.packb({"op": op, "id": self.id, **members}))
        while True:
            answer = self.receive()
            if answer.get("id") == self.id:
                return answer

    def wait_processed(self):
        """Wait until the broker has processed everything sent so far; fails if it sent another
        answer."""
        self.send(msgpack.packb({"op": "status", "id": 0}))
        assert self.receive()["id"] == 0

    def close(self):
        self.socket.close()


class Locker:
    """One owner of locks; uses the protocol of docs/protocol/wire.md."""

    def __init__(self, context, broker, owner):
        self.owner = owner
        self.control = Control(context, broker)
        self.tokens = {}  # of the last grant, by name

    def lock(self, name, ttl_ms=1000, **members):
        """Request the lock and wait for the answer; wait_ms bounds how long the broker may delay
        it."""
        answer = self.control.request("lock", name=name, owner=self.owner, ttl_ms=ttl_ms, **members)
        self.tokens[name] = answer["token"] if "error" not in answer else self.tokens.get(name)
        return answer

    def begin_lock(self, name, ttl_ms=1000, **members):
        """Send the request without waiting; `answered` waits for the answer."""
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
        """Granted sooner or later, or the test is lost; the token."""
        eventually(lambda: self.lock(name, ttl_ms, keep=True, **members),
                   lambda a: "error" not in a, f"{self.owner} gets {name}")
        return self.tokens[name]

    def _with(self, op, name, token=None, **members):
        return self.control.request(op, name=name, owner=self.owner,
                                    token=token or self.tokens[name], **members)

    def renew(self, name, token=None, **members):
        return self._with("renew", name, token, **members)

    def release(self, name, token=None):
        return self._with("release", name, token)

    def put(self, name, value, token=None):
        return self._with("value_put", name, token, value=value)

    def get(self, name):
        return self.control.request("value_get", name=name)

    def entry(self, name):
        (entry,) = self.control.request("locks", name=name)["locks"]
        return entry

    def close(self):
        self.control.close()
