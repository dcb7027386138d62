"""Clients in mode all that count: each must receive 1, 2, 3, … once, in order."""

import asyncio
import json
import threading

import websockets
from stack import PATIENCE, Lost, eventually


class Client:
    def __init__(self, url, tls=None):
        self.url, self.tls = url, tls
        self.values = []  # values of COUNT, as received
        self.epoch, self.seq = None, 0
        self.is_acked = False
        self.gateways = []  # one for each connection
        self.closes = []  # close codes
        self.refusals = []  # statuses and reasons
        self.trouble = []  # faults that were found
        self.is_open = False

    async def live(self):
        while True:
            pause = 0.3
            since = f"&since={self.epoch}:{self.seq}" if self.seq else ""
            try:
                async with websockets.connect(
                    f"{self.url}?symbols=COUNT&mode=all{since}", subprotocols=["pregon.v1.json"],
                    compression=None, open_timeout=20, ping_interval=None, ssl=self.tls,
                ) as ws:
                    self.is_acked = False
                    try:
                        async for text in ws:
                            pause = self.hear(json.loads(text)) or pause
                    except websockets.ConnectionClosed:
                        pass
                    self.closes.append(ws.close_code)
            except websockets.InvalidStatusCode as e:
                self.refusals.append((e.status_code, e.headers.get("X-Reject-Reason")))
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException) as e:
                self.refusals.append((0, repr(e)))
            finally:
                self.is_open = False
            await asyncio.sleep(pause)

    def hear(self, m):
        kind = m["type"]
        if kind == "welcome":
            self.gateways.append(m["gateway"])
        elif kind == "ack":
            self.is_acked = self.is_open = True
            if self.seq and not m.get("recovered"):
                self.trouble.append(m)
            if not m.get("recovered"):
                self.epoch, self.seq = m["epoch"], 0
        elif kind in ("lost", "reset", "error"):
            self.trouble.append(m)
        elif kind in ("snapshot", "quote"):
            self.values.append(int(m["last"]))
        if self.is_acked and kind in ("quote", "state", "lost", "heartbeat"):
            self.seq = max(self.seq, m["seq"])
        if kind == "going_away":
            return m["reconnect_after"]
        return None

    def check(self):
        """Nothing missed, nothing twice, nothing out of order."""
        assert not self.trouble, self.trouble
        wrong = [(a, b) for a, b in zip(self.values, self.values[1:]) if b != a + 1]
        assert not wrong, f"{len(wrong)} breaks, the first {wrong[0]}, over {self.gateways}"


class Crowd:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.clients, self.tasks = [], []

    def join(self, count, url, tls=None):
        """Connect this many more clients, and wait until all are connected."""
        new = [Client(url, tls) for _ in range(count)]
        self.clients += new
        self.tasks += [asyncio.run_coroutine_threadsafe(c.live(), self.loop) for c in new]
        for client in new:
            eventually(lambda c=client: c.is_open, what="a client's subscription")
        return new

    def hear_all(self, feed):
        """Wait until every client has received everything sent so far."""
        number = feed.number
        for client in self.clients:
            eventually(
                lambda c=client: c.values[-1] if c.values else 0,
                lambda n: n >= number,
                f"quote {number} at a client of {client.gateways[-1:]}, closed {client.closes}, "
                f"refused {client.refusals[-3:]}",
            )
            client.check()
        return number

    def goes_on(self, feed):
        """Wait until the clients also receive quotes that are sent from now on."""
        before = feed.number
        eventually(lambda: feed.number, lambda n: n > before + 20, "feeding")
        return self.hear_all(feed)

    def connections(self):
        return [len(c.gateways) for c in self.clients]

    def disperse(self):
        for task in self.tasks:
            task.cancel()
        try:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0.2), self.loop).result(PATIENCE)
        except TimeoutError as e:
            raise Lost("the clients' loop stands still") from e
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE)
        self.clients, self.tasks = [], []
