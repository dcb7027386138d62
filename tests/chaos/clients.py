"""WebSocket clients that reconnect after every disconnect and record what they receive.

A client computes its position as docs/protocol/stream.md states: in mode `all` the highest
position of any message since the ack, in mode `merge` the position of the last heartbeat. A new
connection resumes there.
"""

import asyncio
import json
import socket
import threading

import websockets

import pregon
from history import HEARTBEAT, LOST, QUOTE, RESET, SNAPSHOT, STATE, Connection, Loss, position

SILENCE = 6.0  # seconds without a message (heartbeats come every second) before giving up
OPEN_TIMEOUT = 6.0
SMALL_WINDOW = 8192  # receive buffer of the clients that will stop reading


class Client:
    def __init__(self, history, name, mode, patterns, endpoints, dice, small_window=False):
        self.history, self.name = history, name
        self.mode, self.patterns = mode, patterns
        self.endpoints = endpoints  # [(name, port)]
        self.dice = dice
        self.small_window = small_window
        self.received = history.client(name, mode, patterns)
        self.position = None
        self.epoch = None  # epoch of the log that it receives
        self.newest = {}  # symbol id -> n
        self.changed = threading.Condition()
        self.is_over = False
        self.is_attached = False
        self.received_at = 0.0
        self.not_reading_until = 0.0
        self.is_slow = 0  # how often the gateway closed it with 4008
        self.resumed = self.refused = 0
        self.reasons = {}  # how connections ended -> how often
        self.socket = None
        self._start()

    def _start(self):
        self.task = asyncio.run_coroutine_threadsafe(self._live(), pregon.REACTOR.loop)

    # called by the run

    def stop_reading(self, seconds):
        self.not_reading_until = self.history.now() + seconds

    def shows(self, finals):
        """Has it received the last quotes of its symbols?"""
        return all(self.newest.get(s) == n for s, n in finals.items()
                   if self.history.wants(self.received, s))

    def lacks(self, finals):
        return [f"{self.history.symbols[s]} n={self.newest.get(s)} of {n}"
                for s, n in finals.items()
                if self.history.wants(self.received, s) and self.newest.get(s) != n]

    def close(self):
        async def leave():
            self.is_over = True
            if self.socket:
                self.socket.transport.abort()
            self.task.cancel()

        pregon.REACTOR.run(leave())

    # connections

    async def _live(self):
        loop = asyncio.get_running_loop()
        while not self.is_over:
            end = "?"
            try:
                end = await self._connect_and_listen(loop)
            except websockets.InvalidStatusCode as e:
                end = f"refused {e.status_code} {e.headers.get('X-Reject-Reason')}"
                self.refused += 1
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException, EOFError) as e:
                end = f"{type(e).__name__} {e}"[:120]
            except asyncio.CancelledError:
                return
            except Exception as e:  # an error of this program must not look like a silent gateway
                self.received.oddities.append((self.history.now(), f"harness: {e!r}"))
            self.is_attached = False
            self.socket = None
            self.reasons[end] = self.reasons.get(end, 0) + 1
            if self.received.connections and self.received.connections[-1].closed is None:
                self.received.connections[-1].closed = self.history.now()
                self.received.connections[-1].end = end
            # Random, so that the clients do not reconnect at the same moment.
            await asyncio.sleep(self.dice.uniform(0.02, 0.4))

    def _request(self):
        """How this connection subscribes: the query of the path, and the request to send, if
        any."""
        since = None
        if self.position is not None and self.epoch is not None:
            since = self.position
        seq = since and since & ((1 << 48) - 1)
        if self.dice.random() < 0.5:
            query = f"?symbols={','.join(self.patterns)}&mode={self.mode}"
            if since is not None:
                query += f"&since={self.epoch}:{seq}"
            return since, "url", query, None
        ask = {"op": "subscribe", "id": 1, "symbols": self.patterns, "mode": self.mode}
        if since is not None:
            ask["since"] = {"epoch": self.epoch, "seq": seq}
        return since, "op", "", ask

    async def _connect_and_listen(self, loop):
        name, port = self.dice.choice(self.endpoints)
        since, by, query, ask = self._request()
        sock = socket.socket()
        sock.setblocking(False)
        if self.small_window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        try:
            await asyncio.wait_for(loop.sock_connect(sock, ("127.0.0.1", port)), OPEN_TIMEOUT)
            opened = self.history.now()
            ws = await websockets.connect(
                f"ws://127.0.0.1:{port}{pregon.STREAM}{query}", sock=sock, compression=None,
                ping_interval=None, max_queue=64, read_limit=16384, max_size=None,
                open_timeout=OPEN_TIMEOUT, close_timeout=0.5)
        except BaseException:
            sock.close()
            raise
        self.socket = ws
        self.connection = Connection(len(self.received.connections), name, by, since, opened)
        self.received.connections.append(self.connection)
        self.received_at = loop.time()
        watchdog = asyncio.ensure_future(self._watch(loop, ws))
        try:
            if ask:
                await ws.send(json.dumps(ask))
            return await self._listen(loop, ws)
        finally:
            watchdog.cancel()
            ws.transport.abort()

    async def _watch(self, loop, ws):
        """Abort the connection after a silence: a dead network closes nothing."""
        while loop.time() - self.received_at < SILENCE:
            await asyncio.sleep(0.5)
            if self.history.now() < self.not_reading_until:
                self.received_at = loop.time()
        self.connection.end = "silence"
        ws.transport.abort()

    async def _listen(self, loop, ws):
        try:
            while True:
                text = await ws.recv()
                self.received_at = loop.time()
                self._take(json.loads(text))
                if self.not_reading_until:
                    deaf = self.not_reading_until - self.history.now()
                    self.not_reading_until = 0.0
                    if deaf > 0:
                        await asyncio.sleep(deaf)
        except websockets.ConnectionClosed:
            pass
        if ws.close_code == 4008:
            self._be_slow(ws.close_reason)
        return self.connection.end or f"{ws.close_code} {ws.close_reason}".strip()

    def _be_slow(self, reason):
        """The gateway closed the client as too slow; the reason has the position to resume from."""
        self.is_slow += 1
        try:
            fields = json.loads(reason)
        except ValueError:
            self._odd(f"close reason {reason!r} is not JSON")
            return
        since = fields.get("since")
        seq = since.get("seq") if isinstance(since, dict) else fields.get("seq", since)
        if isinstance(seq, str):
            seq = int(seq.rsplit(":", 1)[-1])
        if seq is None:
            if not self.history.cannot_resume:
                self._odd(f"close 4008 without a position: {reason}")
        elif self.connection.ack is not None:
            self.position = max(self.position or 0, self._where(seq))

    def _odd(self, text):
        self.received.oddities.append((self.history.now(), text))

    def _where(self, seq):
        return position(self.history.epoch(self.epoch), seq)

    # what it hears

    def _take(self, m):
        kind = m["type"]
        if kind == "quote" and self.is_attached:
            self._take_value(QUOTE, m)
        elif kind == "snapshot" and self.is_attached:
            self._take_value(SNAPSHOT, m)
        elif kind == "welcome":
            self.history.epoch(m["epoch"])
        elif kind == "ack":
            self._take_ack(m)
        elif kind == "reset":
            self.epoch = m["epoch"]
            self.position = None
            self.newest.clear()
            self._note(RESET, self._where(m["seq"]))
        elif not self.is_attached:
            if kind in ("quote", "snapshot"):
                self._odd(f"{m} before the ack")
        elif kind == "heartbeat":
            self._note(HEARTBEAT, self._where(m["seq"]))
            self._reach(m["seq"])
        elif kind == "state":
            self._note(STATE, self._where(m["seq"]), self.history.symbol(m["symbol"]))
            if self.mode == "all":
                self._reach(m["seq"])
        elif kind == "lost":
            self._take_lost(m)
        elif kind == "error":
            self._odd(f"error: {m}")

    def _note(self, kind, where, symbol=0, n=0):
        self.received.add(kind, where, symbol, n, self.history.now())

    def _reach(self, seq):
        where = self._where(seq)
        if self.position is None or where > self.position:
            self.position = where

    def _take_value(self, kind, m):
        symbol, n = self.history.symbol(m["symbol"]), m.get("n", 0)
        self._note(kind, self._where(m["seq"]), symbol, n)
        if m.get("last") != str(n):
            self._odd(f"differs from what was sent: {m}")
        if kind == QUOTE and self.mode == "all":
            self._reach(m["seq"])
        self.newest[symbol] = n

    def _take_ack(self, m):
        c = self.connection
        if m.get("op") != "subscribe" or m.get("id") != (1 if c.by == "op" else None):
            return
        self.epoch = m["epoch"]
        c.acked, c.ack = self.history.now(), self._where(m["seq"])
        c.recovered = m.get("recovered")
        self.is_attached = True
        if c.since is not None and c.recovered is True:
            self.resumed += 1
            if self.mode == "merge":
                self._reach(m["seq"])
        else:
            self.position = None

    def _take_lost(self, m):
        loss = Loss(m["feed"], m["first"], m["last"], m["reason"])
        seq = m.get("seq") or m["last"]
        self.received.losses[len(self.received)] = loss
        self._note(LOST, self._where(seq))
        if self.mode == "all":
            self._reach(seq)
