#!/usr/bin/python3
"""The chaos of publishing kills producers, broker and gateways (kill -9) at random. A producer that
comes back repeats its unanswered request with the same Idempotency-Key. At the end each quote must
be in the log once, at the position that the producer's answer named.

    tests/chaos/publish.py --bin build/release/bin --minutes 2 --seed 7

The seed determines the actions, but not the exact moment of their effect. Prints the seed, a line
every ten seconds, and the result; exit code 0 if nothing is wrong.
"""

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "system")]

PRODUCERS = 4
TOKEN = "chaos"
QUOTES = "/cotizaciones/quotes"
SIZES = (1, 1, 3, 40, 100, 256, 257, 700)
PROGRESS = 10.0
SETTLING = 60.0
END = ".end"  # a file beside the journal: the producer shall end after its next answer


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    root = os.path.dirname(os.path.dirname(HERE))
    parser.add_argument("--bin", default=os.environ.get("PREGON_BIN")
                        or os.path.join(root, "build", "release", "bin"))
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--producer", nargs=3, metavar=("SYMBOL", "JOURNAL", "PORTS"),
                        help=argparse.SUPPRESS)
    return parser.parse_args()


class Journal:
    """A file of what a producer is about to send, and of what it was answered."""

    def __init__(self, path):
        self.path = path
        self.requests = []  # [key, first number, how many quotes, answer or None]
        self.faults = []
        if os.path.exists(path):
            with open(path, encoding="utf-8") as lines:
                for line in lines:
                    if line.endswith("\n"):  # else the producer was killed as it wrote
                        self.take(json.loads(line))

    def take(self, entry):
        if "answer" in entry:
            assert entry["key"] == self.requests[-1][0], entry
            self.requests[-1][3] = entry["answer"]
        elif "fault" in entry:
            self.faults.append(entry["fault"])
        else:
            self.requests.append([entry["key"], entry["first"], entry["count"], None])

    def write(self, **entry):
        with open(self.path, "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
        self.take(entry)

    def end_broken_line(self):
        if os.path.exists(self.path):
            with open(self.path, "rb+") as out:
                text = out.read()
                out.truncate(text.rfind(b"\n") + 1)


class Producer:
    def __init__(self, symbol, journal, ports):
        self.symbol, self.ports = symbol, ports
        journal.end_broken_line()
        self.journal = journal
        self.dice = random.Random()

    def post(self, key, first, count):
        """(status, body), or None: there was no answer."""
        body = json.dumps([{"symbol": self.symbol, "last": n} for n in range(first, first + count)])
        connection = http.client.HTTPConnection("127.0.0.1", self.dice.choice(self.ports),
                                                timeout=10)
        try:
            connection.request("POST", QUOTES, body, {
                "Authorization": "Bearer " + TOKEN, "Idempotency-Key": key,
                "X-Feed": self.symbol[-1], "Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()

    def until_answered(self, key, first, count):
        while True:
            answer = self.post(key, first, count)
            if answer and answer[0] == 200:
                return [quote["seq"] for quote in answer[1]["quotes"]]
            if answer and answer[0] not in (429, 503):
                self.journal.write(fault=f"{key}: {answer}")
            time.sleep(0.02)

    def doubt(self, key, first, count, seqs):
        """An answered request again, or with one quote more."""
        if self.dice.random() < 0.1 and self.until_answered(key, first, count) != seqs:
            self.journal.write(fault=f"{key}: another answer to the same request")
        if self.dice.random() < 0.1:
            answer = self.post(key, first, count + 1)
            if answer and answer[0] not in (422, 429, 503):
                self.journal.write(fault=f"{key}: a longer request got {answer[0]}")

    def run(self):
        while not os.path.exists(self.journal.path + END):
            last = self.journal.requests[-1] if self.journal.requests else ["", 0, 0, []]
            if last[3] is None:
                key, first, count, _ = last
            else:
                key, first, count = str(uuid.uuid4()), last[1] + last[2], self.dice.choice(SIZES)
                self.journal.write(key=key, first=first, count=count)
            seqs = self.until_answered(key, first, count)
            self.doubt(key, first, count, seqs)
            self.journal.write(key=key, answer=seqs)
            time.sleep(self.dice.uniform(0, 0.2))


ARGUMENTS = arguments() if __name__ == "__main__" else None
if ARGUMENTS and not ARGUMENTS.producer:
    os.environ["PREGON_BIN"] = os.path.abspath(ARGUMENTS.bin)

# pylint: disable=wrong-import-position  (pregon reads PREGON_BIN when it is imported)
import pregon


class ProducerProcess:
    def __init__(self, system, number, ports):
        self.symbol = f"P{number}"
        self.path = system.path(f"journal-{number}")
        self.ports = ",".join(map(str, ports))
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--producer",
                                         self.symbol, self.path, self.ports])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def finish(self):
        """It ends with an answer to its last request."""
        with open(self.path + END, "w", encoding="utf-8"):
            pass
        if self.process.wait(SETTLING):
            raise AssertionError(f"producer {self.symbol} ended with {self.process.returncode}")


def history_of(gateway, symbol):
    records, more = [], ""
    while True:
        page = gateway.page(f"quotes/{symbol}/history?order=oldest{more}")
        records += [(int(r["last"]), r["seq"]) for r in page["records"] if r["type"] == "quote"]
        if not page["truncated"]:
            return records
        more = "&next=" + page["next"]


def judge(gateway, producer):
    """Sentences about what is wrong, and how many quotes were published."""
    journal = Journal(producer.path)
    answered = []
    for _, first, count, seqs in journal.requests:
        answered += zip(range(first, first + count), seqs if seqs is not None else [None] * count)
    try:
        stored = pregon.eventually(lambda: history_of(gateway, producer.symbol),
                                   lambda records: len(records) >= len(answered))
    except pregon.Lost:
        stored = history_of(gateway, producer.symbol)
    faults = [f"{producer.symbol}: {fault}" for fault in journal.faults]
    if stored != answered:
        faults.append(f"{producer.symbol}: {len(answered)} quotes were answered and {len(stored)} "
                      f"are in the log; the first that differ: "
                      f"{next(iter([p for p in zip(answered, stored) if p[0] != p[1]]), '')}")
    return faults, len(answered)


def run(system, producers):
    dice = random.Random(ARGUMENTS.seed)
    broker = system.broker(store="sqlite:" + system.path("log.db"), retention_count=10**9)
    gateways = [system.gateway(broker, publish_token=TOKEN, access_log=0, http_query_rate=100000,
                               http_query_rate_total=100000) for _ in range(2)]
    producers += [ProducerProcess(system, n, [g.port for g in gateways]) for n in range(PRODUCERS)]
    kills = {"producer": 0, "broker": 0, "gateway": 0}
    began = time.monotonic()
    due = began + PROGRESS
    while time.monotonic() - began < ARGUMENTS.minutes * 60:
        time.sleep(dice.uniform(0.02, 0.8))  # the chaos itself
        kind = dice.choices(list(kills), (6, 2, 2))[0]
        victim = {"producer": dice.choice(producers), "broker": broker,
                  "gateway": dice.choice(gateways)}[kind]
        victim.kill()
        victim.start()
        kills[kind] += 1
        if time.monotonic() >= due:
            print(f"{time.monotonic() - began:4.0f} s: killed {kills}", flush=True)
            due += PROGRESS
    for producer in producers:
        producer.finish()
    faults, quotes = [], 0
    for producer in producers:
        found, count = judge(gateways[0], producer)
        faults += found
        quotes += count
    print(f"{quotes} quotes published while {sum(kills.values())} processes were killed: {kills}")
    return faults


def main():
    if ARGUMENTS.producer:
        symbol, path, ports = ARGUMENTS.producer
        Producer(symbol, Journal(path), list(map(int, ports.split(",")))).run()
        return 0
    print(f"--seed {ARGUMENTS.seed}", flush=True)
    system, producers = pregon.System(), []
    try:
        faults = run(system, producers)
    finally:
        for producer in producers:
            producer.kill()
        system.end()
    for fault in faults:
        print(fault)
    print("each quote is in the log once" if not faults else f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
