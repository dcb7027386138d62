"""Peers that request too much: each class runs from start() to stop(), bounded in time and
number."""

import asyncio
import contextlib
import multiprocessing
import socket
import threading
import time

from zmtp import GREETING, command, frame

SYMBOLS = 20000
PATTERNS = 84  # as many as ?symbols= takes, of two letters and '*'
PONG = 10
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def symbols(count=SYMBOLS):
    """Names whose first two letters are spread evenly."""
    return [f"{LETTERS[i % 26]}{LETTERS[i // 26 % 26]}{i}" for i in range(count)]


def costly_query(dice, patterns=PATTERNS):
    """A list of patterns as long as the query may be; of a letter, a digit (matching none) or two
    letters."""
    heads = (dice.choice(LETTERS) + dice.choice(LETTERS) for _ in range(patterns))
    return "/cotizaciones/quotes?symbols=" + ",".join(head + "*" for head in heads)[:255].rstrip(
        ","
    )


def costly_history(dice, names):
    order = dice.choice(("oldest", "newest"))
    return f"/cotizaciones/quotes/{dice.choice(names)}/history?order={order}&limit=1000&since=@1"


async def _ask(address, path, statuses):
    try:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        answer = await reader.read(-1) if path else b""
        writer.close()
        status = int(answer[9:12])
    except (OSError, ValueError):
        status = 0
    statuses[status] = statuses.get(status, 0) + 1


async def _storm(address, paths, rate, seconds, statuses):
    tasks, begin = set(), time.monotonic()
    for i in range(int(rate * seconds)):
        await asyncio.sleep(max(0, begin + i / rate - time.monotonic()))
        task = asyncio.create_task(_ask(address, paths[i % len(paths)], statuses))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    while tasks:
        await asyncio.wait(tasks)


def _run_storm(address, paths, rate, seconds, out):
    statuses = {}
    asyncio.run(_storm(address, paths, rate, seconds, statuses))
    out.put(statuses)


class QueryStorm:
    """Sends `rate` GETs a second of these paths, in turn, for `seconds`, from a separate
    process."""

    def __init__(self, address, paths, rate=80, seconds=5):
        context = multiprocessing.get_context("fork")
        self.out = context.SimpleQueue()
        self.process = context.Process(
            target=_run_storm, args=(address, paths, rate, seconds, self.out), daemon=True)

    def start(self):
        self.process.start()
        return self

    def is_running(self):
        return self.process.is_alive()

    def stop(self):
        """How many answers had which status; status 0: no answer."""
        statuses = self.out.get()
        self.process.join()
        return statuses


class LargeFrames:
    """A frame over each of `count` connections to a socket of the broker, without libzmq (which
    ends itself)."""

    def __init__(self, address, kind, body, count=8):
        host, port = address.removeprefix("tcp://").split(":")
        self.address, self.count = (host, int(port)), count
        ready = command(b"READY", b"\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind)
        self.data = GREETING + ready + frame(body)

    def start(self):
        self.threads = [threading.Thread(target=self._send, daemon=True) for _ in range(self.count)]
        for thread in self.threads:
            thread.start()
        return self

    def _send(self):
        with contextlib.suppress(OSError), socket.create_connection(self.address, 5) as s:
            s.sendall(self.data)
            while s.recv(65536):
                pass

    def stop(self):
        for thread in self.threads:
            thread.join(10)


class Latency:
    """A feeder and a client in mode all: checks each quote in order, and measures its delay in
    ms."""

    def __init__(self, system, broker, gateway, symbol="GOOD"):
        self.symbol, self.sent = symbol, 0
        self.feed = system.feed(broker, "good")
        self.client = system.raw_client(gateway, f"?symbols={symbol}&mode=all")
        self.client.receive("ack")

    def one(self):
        self.sent += 1
        if self.sent % 100 == 0:
            self.client.send_frame(PONG)  # it reads no pings while it waits for a quote
        begin = time.monotonic()
        self.feed.quote(self.symbol, last=str(self.sent), n=self.sent)
        got = self.client.receive(where=lambda m: m["type"] in ("quote", "snapshot"))
        assert got["n"] == self.sent, (got, self.sent)
        return (time.monotonic() - begin) * 1e3

    def many(self, count=None, until=None):
        took = []
        while len(took) < count if count else until():
            took.append(self.one())
            time.sleep(0.002)
        return sorted(took)


def quantile(took, part):
    return took[min(len(took) - 1, int(len(took) * part))]
