#!/usr/bin/python3
"""Kill the broker (kill -9) a hundred times under load: nothing is lost, nothing comes twice.

    CHAOS_SEED=7 KILLS=100 tests/chaos/kill_broker.py

Exit code 0 if nothing is wrong; PREGON_BIN is the folder of the programs.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "system"))

# pylint: disable=wrong-import-position
import pregon
import troupe
import verdict
from clients import Client
from feeders import Pace, StdinFeeder
from history import History

KILLS = int(os.environ.get("KILLS") or 100)
SECONDS = float(os.environ.get("KILL_SECONDS") or 75)  # after that no more waiting for quotes
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
RATE = 2000
SYMBOLS = [f"K{i}" for i in range(20)]
FLOW = 4.0  # seconds that quotes may take to flow again before a kill comes all the same


class Play:
    def __init__(self, directory, store):
        self.history = History()
        self.actors = []
        self.clients = []
        ports = [pregon.free_port() for _ in range(4)]
        where = {name: f"tcp://127.0.0.1:{port}" for name, port in zip(
            ("broker_ingest", "broker_publish", "broker_control"), ports)}
        bus = {k: where[k] for k in ("broker_publish", "broker_control")}
        self.broker = self.actor("broker", {**where, "store": store}, directory).start()
        self.gateway = self.actor("gateway", {**bus, "port": ports[3], "heartbeat": 1,
                                              "client_queue": 16 << 20,
                                              "websocket_auto_subscribe": ""}, directory).start()
        process = self.actor("feeder", {
            "source": "-", "feed": "kills", "broker_ingest": where["broker_ingest"],
            "broker_control": where["broker_control"]}, directory, stdin=-1)
        self.feeder = StdinFeeder(
            self.history,
            "kills",
            process,
            SYMBOLS,
            Pace(RATE, len(SYMBOLS), 0.0),
            random.Random(SEED),
        )
        self.feeder.be_quiet(3600)
        self.feeder.start()
        process.wait_ready()
        for mode in ("all", "merge"):
            self.clients.append(Client(self.history, mode, mode, ["*"], [("gw", ports[3])],
                                       random.Random(f"{SEED} {mode}")))
        pregon.eventually(lambda: all(c.is_attached for c in self.clients))
        self.feeder.be_quiet(0)

    def actor(self, program, settings, directory, **how):
        self.actors.append(troupe.Actor(program, program, settings, directory=directory, **how))
        return self.actors[-1]

    def heard(self):
        """The position of the client in mode all."""
        return self.clients[0].position or 0

    def kill_at_random(self, dice, may_wait):
        """Kill at a random moment after ready, or sometimes after quotes flow again."""
        if may_wait:
            before = self.heard()
            try:
                pregon.eventually(self.heard, lambda now: now > before, patience=FLOW)
            except pregon.Lost:
                pass  # it is judged at the end
        time.sleep(dice.uniform(0.02, 0.4))  # the chaos itself
        over = self.history.act("kill -9 broker")
        self.broker.kill()
        self.broker.start()
        over()

    def settle(self):
        self.feeder.owed = 0
        self.feeder.finish()
        pregon.eventually(lambda: self.feeder.has_finished, patience=60)
        finals = self.feeder.finals()
        self.history.finals.update(finals)
        missing = []
        try:
            pregon.eventually(lambda: [c.name for c in self.clients if not c.shows(finals)],
                              lambda names: not names, "the last quotes", patience=60)
        except pregon.Lost as e:
            missing.append(str(e))
        self.feeder.settle()
        return missing

    def close(self):
        for client in self.clients:
            client.close()
        self.feeder.close()
        for actor in self.actors:
            actor.abandon()
            actor.log_file.close()


def judge(play, missing):
    """All faults, with the events around them."""
    faults = verdict.judge(play.history)
    found = [f for several in faults.values() for f in several]
    for rule in faults:
        for fault in faults[rule][:1]:
            print("\n".join(verdict.events_around(play.history, fault)))
    reports = [t for a in play.actors for t in a.log() if pregon.SANITIZER.search(t)]
    if len(play.clients[0].hearing) <= KILLS:
        reports.append("nothing flowed: nothing was tested")
    return missing + reports + [f"{f.rule}: {f.who}: {f.text}" for f in found]


def main():
    print("CHAOS_SEED =", SEED)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = tempfile.mkdtemp(prefix="pregon-kills-")
    dice = random.Random(SEED)
    play = Play(directory, os.environ.get("CHAOS_STORE") or f"sqlite:{directory}/pregon.db")
    wrong = ["it did not come to its end"]
    try:
        until = time.monotonic() + SECONDS
        for _ in range(KILLS):
            may_wait = dice.random() < 0.3
            play.kill_at_random(dice, may_wait and time.monotonic() < until)
        wrong = judge(play, play.settle())
        print(f"{KILLS} kills, {play.feeder.written} quotes, {len(play.clients[0].hearing)} "
              f"messages, {play.clients[0].resumed} resumed")
        print(f"{len(wrong)} faults, first: {wrong[:5]}" if wrong else "all is well")
    finally:
        play.close()
        if wrong:
            print("logs are in", directory)
        else:
            shutil.rmtree(directory)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
