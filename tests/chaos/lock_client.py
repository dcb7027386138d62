#!/usr/bin/python3
"""One process of the lock chaos: several owners that acquire, hold, renew, write values and
release.

    lock_client.py ENDPOINT FILE NAME SEED OWNERS LOCK…

It writes every request to FILE before sending it, and the answer after receiving it.  After
SIGTERM each owner takes every lock once more, and then the process ends with 0.
"""

import itertools
import json
import os
import random
import signal
import sys
import threading
import time

import msgpack
import zmq

WAIT = 1.5  # seconds that a request waits in the queue
PATIENCE = 2.0  # seconds more, for the answer
LAST = 40.0  # seconds at the end in which the owner must be granted every lock
TTLS = (1000, 1000, 1500, 2500)
DELAYS = (0, 0, 0, 500, 1000)

is_over = threading.Event()


class Owner:
    def __init__(self, endpoint, write, name, seed):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.reconnect_ivl_max = 500
        self.socket.connect(endpoint)
        self.write = write
        self.name = name
        self.dice = random.Random(seed)
        self.count = 0

    def call(self, op, lock, patience=PATIENCE, **request):
        """The answer, or None; and the time just before the request was sent."""
        self.count += 1
        number = next(NUMBERS)
        message = {"op": op, "id": self.count, "name": lock, "owner": self.name, **request}
        data = msgpack.packb(message)
        sent = time.monotonic()
        self.write({"n": number, "owner": self.name, "op": op, "name": lock, "sent": sent,
                    "request": request})
        self.socket.send(data)
        until = time.monotonic() + patience
        while (left := until - time.monotonic()) > 0:
            if not self.socket.poll(left * 1000):
                continue
            answer = msgpack.unpackb(self.socket.recv(), strict_map_key=False)
            if answer.get("id") != self.count:
                continue
            answered = time.monotonic()
            if isinstance(answer.get("value"), bytes):
                answer["value"] = answer["value"].decode()
            self.write({"n": number, "answered": answered, "answer": answer})
            return answer, sent
        return None, sent

    def acquire(self, lock, seconds):
        """(token, end of the lease by the owner's clock, ttl), or None if it was not granted."""
        ttl, delay = self.dice.choice(TTLS), self.dice.choice(DELAYS)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            answer, sent = self.call("lock", lock, WAIT + PATIENCE, ttl_ms=ttl, delay_ms=delay,
                                     wait_ms=int(WAIT * 1000))
            if answer and "error" not in answer:
                return (answer["token"],
                        sent + (answer["waited_ms"] + answer["expires_ms"]) / 1000, ttl)
            if answer and answer["error"] != "held":
                self.rest(0.1)
        self.call("lock_cancel", lock)
        return None

    def rest(self, seconds):
        time.sleep(self.dice.uniform(0, 2 * seconds))  # the rhythm of the chaos

    def work(self, lock, token, end, ttl):
        """The actions of a holder; whether it continues after its lease ended is random."""
        leave = time.monotonic() + self.dice.choice(
            (0.01, 0.1, self.dice.uniform(0, 2.5 * ttl / 1000))
        )
        puts = 0
        while time.monotonic() < min(leave, end):
            action = self.dice.choice(("renew", "renew", "put", "get", "rest"))
            if action == "renew":
                answer, sent = self.call("renew", lock, 0.5, token=token)
                if answer and "error" in answer:
                    break
                if answer:
                    end = max(end, sent + answer["expires_ms"] / 1000)
            elif action == "put":
                puts += 1
                self.call("value_put", lock, 0.5, token=token, value=f"{self.name} {token} {puts}")
            elif action == "get":
                self.call("value_get", lock, 0.5)
            self.rest(0.05 if action == "rest" else 0.005)

    def release(self, lock, token, ttl):
        how = self.dice.random()
        if how < 0.7:
            for _ in range(3):
                if self.call("release", lock, 1.0, token=token)[0]:
                    break
        elif how < 0.9:  # like a process that was paused: requests after the end, with an old token
            self.rest(ttl / 1000)
            for op in ("value_put", "renew"):
                more = {"value": f"{self.name} {token} late"} if op == "value_put" else {}
                self.call(op, lock, 0.5, token=token, **more)

    def turn(self, lock, seconds):
        got = self.acquire(lock, seconds)
        if got:
            token, end, ttl = got
            self.work(lock, token, end, ttl)
            self.release(lock, token, ttl)
        return got

    def run(self, locks):
        while not is_over.is_set():
            self.turn(self.dice.choice(locks), 12.0)
            self.rest(0.02)
        for lock in locks:
            got = self.acquire(lock, LAST)
            if not got:
                raise SystemExit(f"{self.name} was never granted {lock} at the end")
            self.call("release", lock, 1.0, token=got[0])


NUMBERS = itertools.count(1)


def main():
    endpoint, path, name, seed, owners, *locks = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: is_over.set())
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    failures = []

    def write(entry):
        # One write per entry: a killed process leaves no partial line.
        os.write(fd, (json.dumps(entry) + "\n").encode())

    def run_owner(i):
        lifetime = f"{name}.{i}.{os.getpid()}"
        try:
            Owner(endpoint, write, lifetime, f"{seed} {i}").run(locks)
        except SystemExit as e:
            failures.append(str(e))

    threads = [threading.Thread(target=run_owner, args=(i,)) for i in range(int(owners))]
    for t in threads:
        t.start()
    print("ready", flush=True)
    for t in threads:
        while t.is_alive():
            t.join(0.5)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
