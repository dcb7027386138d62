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
import processes
import history_check
from clients import Client
from feeders import Pace, StdinFeeder
from history import History

KILLS = int(os.environ.get("KILLS") or 100)
# After this time the run no longer waits for quotes before a kill.
SECONDS = float(os.environ.get("KILL_SECONDS") or 75)
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
RATE = 2000
SYMBOLS = [f"K{i}" for i in range(20)]
FLOW = 4.0  # seconds to wait until quotes flow again; then the kill happens anyway


class KillRun:
    def __init__(self, directory, store):
        self.history = History()
        self.processes = []
        self.clients = []
        ports = [pregon.free_port() for _ in range(4)]
        where = {name: f"tcp://127.0.0.1:{port}" for name, port in zip(
            ("broker_ingest", "broker_publish", "broker_control"), ports)}
        bus = {k: where[k] for k in ("broker_publish", "broker_control")}
        self.broker = self.add_process("broker", {**where, "store": store}, directory).start()
        self.gateway = self.add_process("gateway", {**bus, "port": ports[3], "heartbeat": 1,
                                                    "client_queue": 16 << 20,
                                                    "websocket_auto_subscribe": ""},
                                        directory).start()
        process = self.add_process("feeder", {
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
        self.feeder.pause(3600)
        self.feeder.start()
        process.wait_ready()
        for mode in ("all", "merge"):
            self.clients.append(Client(self.history, mode, mode, ["*"], [("gw", ports[3])],
                                       random.Random(f"{SEED} {mode}")))
        pregon.eventually(lambda: all(c.is_attached for c in self.clients))
        self.feeder.pause(0)

    def add_process(self, program, settings, directory, **how):
        self.processes.append(
            processes.ChaosProcess(program, program, settings, directory=directory, **how))
        return self.processes[-1]

    def newest_position(self):
        """The position of the client in mode all."""
        return self.clients[0].position or 0

    def kill_at_random(self, dice, may_wait):
        """Kill at a random moment after ready, or sometimes after quotes flow again."""
        if may_wait:
            before = self.newest_position()
            try:
                pregon.eventually(self.newest_position, lambda now: now > before, patience=FLOW)
            except pregon.Lost:
                pass  # the check at the end reports it
        time.sleep(dice.uniform(0.02, 0.4))  # the chaos itself
        over = self.history.act("kill -9 broker")
        self.broker.kill()
        self.broker.start()
        over()

    def settle(self):
        self.feeder.budget = 0
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
        for process in self.processes:
            process.force_kill()
            process.log_file.close()


def check(kill_run, missing):
    """All faults, with the events around them."""
    faults = history_check.check(kill_run.history)
    found = [f for several in faults.values() for f in several]
    for rule in faults:
        for fault in faults[rule][:1]:
            print("\n".join(history_check.events_around(kill_run.history, fault)))
    reports = [t for a in kill_run.processes for t in a.log() if pregon.SANITIZER.search(t)]
    if len(kill_run.clients[0].received) <= KILLS:
        reports.append("no quotes flowed: the run tested nothing")
    return missing + reports + [f"{f.rule}: {f.subject}: {f.text}" for f in found]


def main():
    print("CHAOS_SEED =", SEED)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = tempfile.mkdtemp(prefix="pregon-kills-")
    dice = random.Random(SEED)
    kill_run = KillRun(directory, os.environ.get("CHAOS_STORE") or f"sqlite:{directory}/pregon.db")
    wrong = ["the run did not reach its end"]
    try:
        until = time.monotonic() + SECONDS
        for _ in range(KILLS):
            may_wait = dice.random() < 0.3
            kill_run.kill_at_random(dice, may_wait and time.monotonic() < until)
        wrong = check(kill_run, kill_run.settle())
        print(f"{KILLS} kills, {kill_run.feeder.written} quotes, "
              f"{len(kill_run.clients[0].received)} messages, "
              f"{kill_run.clients[0].resumed} resumed")
        print(f"{len(wrong)} faults, first: {wrong[:5]}" if wrong else "all is well")
    finally:
        kill_run.close()
        if wrong:
            print("logs are in", directory)
        else:
            shutil.rmtree(directory)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
