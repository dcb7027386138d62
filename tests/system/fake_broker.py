"""A broker after docs/protocol/wire.md under the control of a test; it can also break the protocol.

    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    fake.quote("X", last="1")
    fake.quote("X", last="2", is_lost=True)       # it has a position, and is never sent
    fake.answers["snapshot"] = lambda q: b"\\xc1"  # instead of the right answer
"""

import secrets
import threading
import time

import msgpack
import zmq

import pregon

QUOTE, STATE, LOST, HEARTBEAT, MARK = 1, 2, 3, 4, 5


class FakeBroker:
    HEARTBEAT_EVERY = 0.3
    TURN = 0.005

    def __init__(self, system, epoch=None):
        self.epoch = epoch or secrets.randbits(63) | 1
        self.answers = {}  # op -> function of the request; None: no answer
        self.requests = []  # all requests
        self.peers = set()
        self.journal = []  # (topic, record), from position 1
        self.last = {}  # symbol -> (position, record)
        self.changed_symbols = set()
        self.heartbeats = 0
        self.is_mute = False  # no heartbeats
        self.changed = threading.Condition(threading.RLock())
        self.control = self._bind(system.context, zmq.ROUTER)
        self.publisher = self._bind(system.context, zmq.XPUB)
        self.settings = {
            "broker_control": self.control.last_endpoint.decode(),
            "broker_publish": self.publisher.last_endpoint.decode(),
        }
        self.has_ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        system.peers.append(self)

    @staticmethod
    def _bind(context, kind):
        s = context.socket(kind)
        s.linger = 0
        s.sndhwm = s.rcvhwm = 0
        s.bind("tcp://127.0.0.1:*")
        return s

    def close(self):
        self.has_ended.set()
        self.thread.join()
        self.control.close()
        self.publisher.close()

    # called by tests

    @property
    def head(self):
        return len(self.journal)

    def quote(self, symbol, is_lost=False, **fields):
        with self.changed:
            prev = self.last.get(symbol, (0, b""))[0]
            topic = symbol.encode() + b" "
            fields.setdefault("timestamp", time.time())
            record = self.record(QUOTE, self.head + 1, prev, fields)
            self.journal.append((topic, record))
            self.last[symbol] = (self.head, record)
            self.changed_symbols.add(symbol)
            if not is_lost:
                self.publisher.send_multipart([topic, record])
            return self.head

    def begin_new_log(self):
        """Begin a new log, as a broker does that was started again without its store."""
        with self.changed:
            self.epoch += 1
            self.heartbeats = 0
            self.journal.clear()
            self.last.clear()
            self.changed_symbols.clear()

    def record(self, kind, seq, prev, body, epoch=None):
        now = int(time.time() * 1e6)
        return msgpack.packb([kind, epoch or self.epoch, seq, prev, now, now, body])

    def publish(self, *frames):
        with self.changed:
            self.publisher.send_multipart(frames)

    def send_to_gateways(self, *frames):
        """Send to every gateway that has sent a request."""
        with self.changed:
            for peer in self.peers:
                self.control.send_multipart([peer, *frames])

    def wait_requested(self, op, count=1):
        with self.changed:
            if not self.changed.wait_for(
                lambda: sum(q.get("op") == op for q in self.requests) >= count, pregon.PATIENCE
            ):
                raise pregon.Lost(f"the gateway did not ask {op}")

    # the thread

    def _run(self):
        beat_at = 0.0
        while not self.has_ended.wait(self.TURN):
            with self.changed:
                while self.control.poll(0):
                    self._answer(*self.control.recv_multipart())
                while self.publisher.poll(0):
                    self._mark(self.publisher.recv())
                if time.monotonic() >= beat_at and not self.is_mute:
                    beat_at = time.monotonic() + self.HEARTBEAT_EVERY
                    self.heartbeat()

    def heartbeat(self):
        with self.changed:
            self.heartbeats += 1
            changes = [[s, self.last[s][0]] for s in sorted(self.changed_symbols)]
            self.changed_symbols.clear()
            body = {"changed": changes, "complete": True}
            self.publish(
                b"!heartbeat ", self.record(HEARTBEAT, self.head, self.heartbeats, body)
            )

    def _mark(self, subscription):
        if subscription.startswith(b"\x01~mark/"):
            self.publish(subscription[1:], self.record(MARK, self.head, 0, None))

    def _answer(self, peer, message):
        question = msgpack.unpackb(message, strict_map_key=False)
        self.peers.add(peer)
        self.requests.append(question)
        op = question.get("op")
        answer = getattr(self, "answer_" + op, lambda q: None)
        answer = self.answers.get(op, answer)(question)
        if isinstance(answer, dict):
            answer = msgpack.packb({"re": op, "id": question.get("id"), **answer})
        if answer is not None:
            self.control.send_multipart([peer, answer])
        self.changed.notify_all()

    def _state(self):
        return {"epoch": self.epoch, "seq": self.head}

    def answer_hello(self, question):
        return {"version": 1, **self._state()}

    def answer_snapshot(self, question):
        quotes = [
            [symbol, seq, "live", record]
            for symbol, (seq, record) in self.last.items()
            if _matches(question["pattern"], symbol)
        ]
        return {**self._state(), "symbols": len(self.last), "quotes": quotes}

    def answer_replay(self, question):
        records = [
            [topic.decode(), record]
            for topic, record in self.journal[question["after"] :]
            if topic == b"!lost " or _matches(question["pattern"], topic.decode()[:-1])
        ]
        return {"epoch": self.epoch, "first": 1, "head": self.head, "upto": self.head,
                "records": records}

    def answer_status(self, question):
        return {"version": "fake", "symbols": len(self.last), "started": 1, "gateways": [],
                "feeds": [], **self._state()}

    def answer_connections(self, question):
        return {"total": 0, "gateways": [], "connections": []}

    def answer_locks(self, question):
        return {"locks": []}


def _matches(patterns, symbol):
    return any(symbol.startswith(p[:-1]) if p.endswith("*") else symbol == p
               for p in patterns.split(","))
