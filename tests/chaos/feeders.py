"""Feeders that number their quotes, so that the run knows which quotes were sent.

`StdinFeeder` writes to a real pregon-feeder's standard input; `WireFeeder` speaks the feeder's
protocol itself.  Each has a thread that makes quotes. Threads of the run kill, stop and stall
the feeders.
"""

import json
import os
import re
import secrets
import signal
import struct
import threading
import time

import msgpack
import zmq

import pregon

BATCH = 200  # quotes made in one go
TURN = 0.02  # seconds between two checks whether a quote is due


class Pace:
    """Quotes per second, number of frequent symbols, and the share of the rare symbols."""

    def __init__(self, rate, hot, rare_share):
        self.rate, self.hot, self.rare_share = rate, hot, rare_share

    def choose(self, dice, count):
        if count > self.hot and dice.random() < self.rare_share:
            return dice.randrange(self.hot, count)
        return dice.randrange(self.hot)


class Feeder:
    """The common part of both kinds: symbols, the rate of quotes, and the end."""

    def __init__(self, history, name, symbols, pace, dice):
        self.history, self.name = history, name
        self.symbols = symbols  # the hot ones first
        self.pace = pace
        self.ids = [history.symbol(s) for s in symbols]
        self.count = [0] * len(symbols)  # n of each symbol's last quote
        self.dice = dice
        self.budget = 0.0
        self.budget_at = None
        self.quiet_until = 0.0
        self.last_ones = None  # symbols whose last quote is not made yet; None before finish()
        self.written = self.lost = 0
        self.breaches = []  # promises that the broker broke
        self.lines_to_drop = 0
        self.is_over = False
        self.changed = threading.Condition(threading.RLock())
        self.lifetime = None
        self.thread = threading.Thread(target=self._run, daemon=True, name=name)

    def burst(self, count):
        with self.changed:
            self.budget += count

    def pause(self, seconds):
        self.quiet_until = time.monotonic() + seconds

    def finish(self):
        """Send one last quote of each symbol, and then no more."""
        with self.changed:
            self.lines_to_drop = 0
            self.last_ones = list(range(len(self.symbols)))

    @property
    def has_finished(self):
        return self.last_ones == []

    def finals(self):
        return dict(zip(self.ids, self.count))

    def _due(self, room):
        """The next quotes: [(symbol, n)], recorded as sent."""
        now = time.monotonic()
        if self.budget_at is None or now < self.quiet_until:
            self.budget_at = now
        # After a stall the rate stays the same; the missed quotes are not made later.
        self.budget += min(now - self.budget_at, 1.0) * self.pace.rate
        self.budget_at = now
        if self.last_ones is not None:
            chosen, self.last_ones = self.last_ones[:room], self.last_ones[room:]
        else:
            count = min(int(self.budget), room, BATCH)
            self.budget -= count
            chosen = [self.pace.choose(self.dice, len(self.symbols)) for _ in range(count)]
        due = []
        for i in chosen:
            self.count[i] += 1
            self.lifetime.add(self.ids[i], self.count[i])
            due.append((self.symbols[i], self.count[i]))
        self.written += len(due)
        return due


class StdinFeeder(Feeder):
    """A pregon-feeder that reads our output."""

    GRANTED = re.compile(r"granted by the broker .*, (\d+) lines received")
    TOTALS = re.compile(r": (\d+) lines, (\d+) received, (\d+) lost")

    def __init__(self, history, name, process, symbols, pace, dice):
        super().__init__(history, name, symbols, pace, dice)
        self.process = process
        self.is_writing = False
        self.thread.start()

    # actions of the run

    def start(self):
        self.process.start(wait=False)
        with self.changed:
            self.lifetime = self.history.lifetime(self.name)
            self.changed.notify_all()

    def kill(self):
        lifetime, mark = self._end_lifetime(), self.process.mark
        self.process.kill()
        self._record_end(lifetime, mark)

    def stop(self):
        lifetime, mark = self._end_lifetime(), self.process.mark
        self.process.stop()
        self._record_end(lifetime, mark)
        totals = self._logged(self.TOTALS, mark)
        if lifetime.base is not None and totals:
            lifetime.kept = int(totals[-1].group(2)) - lifetime.base

    def record_exit(self):
        """Record that the feeder ended by itself."""
        self._record_end(self._end_lifetime(), self.process.mark)

    def stall(self, seconds):
        self.process.stall(seconds)

    @property
    def is_running(self):
        return self.process.is_running

    def settle(self):
        """Wait until the broker has received everything, or report that it has not."""
        lifetime, mark = self._end_lifetime(), self.process.mark
        self.process.end_of_input()
        self.process.wait_for_exit(0)
        self._record_end(lifetime, mark)
        lifetime.kept = len(lifetime)
        self.is_over = True

    def close(self):
        self.is_over = True
        with self.changed:
            self.changed.notify_all()

    # internals

    def _end_lifetime(self):
        with self.changed:
            lifetime, self.lifetime = self.lifetime, None
            if self.process.is_running and self.last_ones is not None:
                self.changed.wait_for(lambda: not self.is_writing, pregon.PATIENCE)
            return lifetime

    def _record_end(self, lifetime, mark):
        with self.changed:
            self.changed.wait_for(lambda: not self.is_writing, pregon.PATIENCE)
        try:
            self.process.process.stdin.close()
        except OSError:
            pass
        granted = self._logged(self.GRANTED, mark)
        if granted and lifetime is not None:
            lifetime.base = int(granted[0].group(1))

    def _logged(self, pattern, mark):
        return [m for m in map(pattern.search, self.process.log()[mark:]) if m]

    def _run(self):
        while not self.is_over:
            with self.changed:
                if self.lifetime is None:
                    self.changed.wait(0.2)
                    continue
                due = self._due(BATCH)
                fd = self.process.process.stdin.fileno()
                self.is_writing = True
            try:
                self._write(fd, due)
            except OSError:
                pass  # the feeder was killed; how much it had read is unknown
            with self.changed:
                self.is_writing = False
                self.changed.notify_all()
                if len(due) < BATCH:
                    self.changed.wait(TURN)

    @staticmethod
    def _write(fd, due):
        data = "".join(
            json.dumps({"symbol": s, "last": str(n), "n": n}, separators=(",", ":")) + "\n"
            for s, n in due).encode()
        while data:
            data = data[os.write(fd, data) :]


class WireFeeder(Feeder):
    """A feeder after docs/protocol/wire.md: numbered lines, a ring, resend, lost."""

    HEARTBEAT, OPENING, SILENCE, RETRY = 0.25, 0.1, 1.5, 0.5
    WINDOW = 4096  # lines sent and not acknowledged

    def __init__(self, history, name, context, broker, symbols, pace, dice, ring=65536,
                 can_wait=True, keeps_log=True):
        super().__init__(history, name, symbols, pace, dice)
        self.context, self.broker = context, broker  # broker: its settings
        self.ring_size, self.can_wait = ring, can_wait
        self.keeps_log = keeps_log  # the broker must keep what it acknowledged
        self.is_up = False
        self.is_leaving = False
        self.sockets = None
        self.stalled_until = 0.0
        self.resent = 0
        self.thread.start()

    # actions of the run

    def start(self):
        with self.changed:
            self.lifetime = self.history.lifetime(self.name)
            self.owner = secrets.token_hex(8)
            self.ring = {}  # number -> (topic, body)
            # Line numbers: the oldest in the ring, the next to send, the next to make.
            self.first = self.cursor = self.next = 1
            self.received = 0
            self.epoch = 0
            self.has_begun = self.is_open = False
            self.hello_at = self.beat_at = self.received_at = 0.0
            self.is_leaving = False
            self.is_up = True
            self.changed.notify_all()

    def kill(self):
        with self.changed:
            self.is_up = False
            self.changed.notify_all()
            if not self.changed.wait_for(lambda: not self.sockets, pregon.PATIENCE):
                raise pregon.Lost(f"{self.name} did not end")
            self._record_end()

    def stop(self):
        with self.changed:
            self.is_leaving = True
            self.changed.wait_for(lambda: self.received == self.next - 1, 5.0)
            if self.epoch and self.sockets:
                self._say(op="goodbye", id=99, epoch=self.epoch)
        self.kill()

    def stall(self, seconds):
        self.stalled_until = time.monotonic() + seconds
        time.sleep(seconds)

    def drop_lines(self, count):
        """Lose this many lines on the way to the broker."""
        with self.changed:
            self.lines_to_drop += count
            self.budget += 2 * count

    @property
    def is_running(self):
        return True

    def settle(self):
        with self.changed:
            if not self.changed.wait_for(lambda: self.received == self.next - 1,
                                         4 * pregon.PATIENCE):
                raise pregon.Lost(f"{self.name}: {self.received} of {self.next - 1} received")
        self.stop()
        self.close()

    def close(self):
        self.is_over = True
        self.thread.join()

    def _record_end(self):
        if self.has_begun:
            self.lifetime.kept = max(self.lifetime.kept, self.received - self.lifetime.base)

    # the thread of this feeder

    def _run(self):
        while not self.is_over:
            with self.changed:
                if not self.is_up:
                    self._close_sockets()
                    self.changed.notify_all()
                    self.changed.wait(0.2)
                    continue
                if time.monotonic() < self.stalled_until:
                    self.changed.wait(TURN)
                    continue
                if not self.sockets:
                    self._open_sockets()
                _, control = self.sockets
            has_news = control.poll(10)
            with self.changed:
                if self.is_up and self.sockets:
                    self._turn(control, has_news)
        self._close_sockets()

    def _open_sockets(self):
        publisher = self.context.socket(zmq.PUB)
        publisher.sndhwm = 0
        control = self.context.socket(zmq.DEALER)
        for sock, where in ((publisher, "broker_ingest"), (control, "broker_control")):
            sock.linger = 0
            sock.connect(self.broker[where])
        self.sockets = publisher, control

    def _close_sockets(self):
        for sock in self.sockets or ():
            sock.close()
        self.sockets = None

    def _turn(self, control, has_news):
        while has_news:
            try:
                message = control.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            self._take(msgpack.unpackb(message, strict_map_key=False))
        now = time.monotonic()
        if self.epoch and now - self.received_at > self.SILENCE:
            self.epoch = 0
            self.is_open = False
        if not self.epoch:
            if now >= self.hello_at:
                self.hello_at = now + self.RETRY
                self._say_hello()
        elif now >= self.beat_at:
            self.beat_at = now + (self.HEARTBEAT if self.is_open else self.OPENING)
            self._heartbeat()
        if self.has_begun and not self.is_leaving:
            self._make()
        if self.is_open:
            self._send()
        self.changed.notify_all()

    def _make(self):
        waits = self.can_wait or self.last_ones is not None  # the last quotes must all arrive
        room = self.ring_size - len(self.ring) if waits else BATCH
        for symbol, n in self._due(max(0, min(room, BATCH))):
            if len(self.ring) >= self.ring_size:
                del self.ring[self.first]
                self.first += 1
            body = {"last": str(n), "n": n, "timestamp": time.time()}
            self.ring[self.next] = symbol.encode() + b" ", msgpack.packb(body)
            self.next += 1
        self.cursor = max(self.cursor, self.first)

    def _send(self):
        publisher = self.sockets[0]
        now = int(time.time() * 1e6)
        while self.cursor < self.next and self.cursor <= self.received + self.WINDOW:
            if self.lines_to_drop:
                self.lines_to_drop -= 1
                self.cursor += 1
                continue
            topic, body = self.ring[self.cursor]
            head = struct.pack(">BBBQBQBQBQBQ", 0x97, 1, 0xCF, self.epoch, 0xCF, self.cursor,
                               0xCF, 0, 0xCF, now, 0xCF, 0)
            publisher.send_multipart([topic, head + body])
            self.cursor += 1

    def _heartbeat(self):
        last = self.next - 1 if self.is_open else self.received
        self.sockets[0].send_multipart(
            [b"!heartbeat ", msgpack.packb([4, self.epoch, last, 0, 0, 0, None])])

    def _say(self, **message):
        self.sockets[1].send(msgpack.packb(message))

    def _say_hello(self):
        self.received_at = time.monotonic()
        self._say(op="hello", id=1, role="feeder", name=self.name, owner=self.owner, oldest=1,
                  newest=1, acked=self.received, window=self.ring_size, allow_crossed=False,
                  host="chaos", pid=os.getpid())

    def _take(self, m):
        if m.get("re") == "hello":
            if "error" in m:
                self.hello_at = time.monotonic() + m.get("retry_ms", 500) / 1000
                if m["error"] != "held":
                    self.breaches.append(f"hello was refused: {m}")
            else:
                self._begin(m["epoch"], m["received"])
        elif m.get("epoch") != self.epoch:
            return
        elif m.get("op") == "received":
            self.received_at = time.monotonic()
            self.is_open = True
            self._receive(m["line"])
        elif m.get("op") == "resend":
            self._rewind(m["from"])

    def _begin(self, epoch, received):
        self.epoch = epoch
        self.is_open = False
        self.received_at = time.monotonic()
        self.beat_at = 0.0
        if not self.has_begun:
            self.has_begun = True
            self.lifetime.base = self.received = received
            self.first = self.cursor = self.next = received + 1
            return
        if received < self.received and self.keeps_log:
            self.breaches.append(f"the broker forgot lines {received + 1} to {self.received}, "
                                 f"which it had acknowledged")
        if received >= self.next:
            self.breaches.append(f"the broker has {received} lines of {self.next - 1}")
        self._receive(received)
        self.cursor = max(self.first, received + 1)

    def _receive(self, line):
        if line <= self.received:
            return
        self.received = min(line, self.next - 1)
        while self.first <= self.received:
            del self.ring[self.first]
            self.first += 1
        self.cursor = max(self.cursor, self.first)

    def _rewind(self, line):
        self.resent += 1
        if line < self.first:
            self.lost += self.first - line
            self._say(op="lost", id=7, epoch=self.epoch, first=line, last=self.first - 1,
                      reason="ring_overflow")
        self.cursor = max(line, self.first)
