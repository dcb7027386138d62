#!/usr/bin/python3
"""The lock chaos kills, stops and cuts off broker and clients at random for some minutes. At the
end all observations of the callers must be consistent.

    tests/chaos/locks.py --bin build/release/bin --minutes 2 --seed 7

The seed determines the actions, but not the exact moment of their effect. Prints the seed, a line
every ten seconds, and the result; exit code 0 if no rule is broken.
"""

import argparse
import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "system")]

LOCKS = ["a", "b", "telegram:bot"]
CLIENTS = 4
OWNERS = 3  # in each
PROGRESS = 10.0
SETTLING = 60.0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    root = os.path.dirname(os.path.dirname(HERE))
    parser.add_argument("--bin", default=os.environ.get("PREGON_BIN")
                        or os.path.join(root, "build", "release", "bin"))
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--keep", metavar="DIR", help="where logs go (default: kept on failure)")
    return parser.parse_args()


if __name__ == "__main__":
    ARGUMENTS = arguments()
    os.environ["PREGON_BIN"] = os.path.abspath(ARGUMENTS.bin)

# pylint: disable=wrong-import-position  (pregon reads PREGON_BIN when it is imported)
import msgpack
import zmq

import lock_history_check
import pregon
import processes
from proxy import Proxy


class LockClient:
    """A process with several owners; after a restart it has other owners."""

    def __init__(self, name, endpoint, directory, seed):
        self.name, self.endpoint, self.directory, self.seed = name, endpoint, directory, seed
        self.starts = 0
        self.files = []
        self.start()

    def start(self):
        self.starts += 1
        path = os.path.join(self.directory, f"{self.name}-{self.starts}.ndjson")
        self.files.append(path)
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "lock_client.py"), self.endpoint, path, self.name,
             f"{self.seed} {self.name} {self.starts}", str(OWNERS), *LOCKS],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def finish(self):
        """Ask the process to end. It handles signals only after its line "ready"."""
        self.process.stdout.readline()  # "ready"
        self.process.send_signal(signal.SIGTERM)

    def finished(self):
        try:
            _, said = self.process.communicate(timeout=SETTLING)
        except subprocess.TimeoutExpired:
            self.kill()
            return [f"{self.name} did not end"]
        return [said.strip() or f"{self.name} ended with {self.process.returncode}"] \
            if self.process.returncode else []


class Operator:
    """An operator that breaks locks; its calls are in the history too."""

    def __init__(self, endpoint, history):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)
        self.history = history
        self.count = 0

    def request(self, **message):
        self.count += 1
        self.socket.send(msgpack.packb({"id": self.count, **message}))
        while self.socket.poll(1000):
            answer = msgpack.unpackb(self.socket.recv(), strict_map_key=False)
            if answer.get("id") == self.count:
                return answer
        return None

    def break_lock(self, name):
        listed = self.request(op="locks", name=name)
        if not listed or not listed.get("locks"):
            return "nothing to break"
        token = listed["locks"][0]["token"]
        call = lock_history_check.Call("operator", "lock_break", name, time.monotonic(),
                                       request={"token": token})
        self.history.calls.append(call)
        call.answer = self.request(op="lock_break", name=name, token=token, by="chaos",
                                   reason="dice")
        call.answered = call.answer and time.monotonic()
        return f"token {token}"

    def close(self):
        self.socket.close()


class World:
    def __init__(self, seed, directory):
        self.seed, self.directory = seed, directory
        self.dice = random.Random(seed)
        self.history = lock_history_check.History()
        self.actions_done = collections.Counter()
        self.run_faults = []
        ports = [pregon.free_port() for _ in range(3)]
        where = {name: f"tcp://127.0.0.1:{port}" for name, port in zip(
            ("broker_ingest", "broker_publish", "broker_control"), ports)}
        self.store = os.path.join(directory, "pregon.db")
        self.broker = processes.ChaosProcess("broker", "broker",
                                             {**where, "store": f"sqlite:{self.store}"},
                                             directory=directory).start()
        self.proxy = Proxy("control", ports[2])
        endpoints = (where["broker_control"], f"tcp://127.0.0.1:{self.proxy.port}")
        self.clients = [LockClient(f"client-{i + 1}", endpoints[i % 2], directory, seed)
                        for i in range(CLIENTS)]
        self.operator = Operator(endpoints[0], self.history)

    # the actions; one runs at a time

    def kill_broker(self):
        before = time.monotonic()
        self.broker.kill()
        self.broker.start()
        self.history.kills.append((before, time.monotonic()))

    def stall_broker(self):
        self.broker.stall(self.dice.choice((0.05, 0.5, 1.5, 3.0)))

    def kill_client(self):
        client = self.dice.choice(self.clients)
        client.kill()
        client.start()

    def stall_client(self):
        client = self.dice.choice(self.clients)
        client.process.send_signal(signal.SIGSTOP)
        time.sleep(self.dice.choice((0.3, 1.2, 3.0)))  # up to longer than any lease
        client.process.send_signal(signal.SIGCONT)

    def cut(self):
        self.proxy.cut(self.dice)

    def block_direction(self):
        """Block one direction for a while."""
        self.proxy.shut([self.dice.choice(("up", "down"))])
        time.sleep(self.dice.uniform(0.2, 1.5))  # the chaos itself
        self.proxy.heal()

    def break_lock(self):
        return self.operator.break_lock(self.dice.choice(LOCKS))

    def hide_file(self):
        """Move the file away for a while: the broker keeps it open, but a broker that starts finds
        no file."""
        file = self.store + "-locks"
        os.rename(file, file + ".away")
        time.sleep(self.dice.uniform(0.1, 1.0))  # the chaos itself
        os.rename(file + ".away", file)

    ACTIONS = (kill_broker, kill_broker, stall_broker, kill_client, stall_client, stall_client, cut,
               block_direction, break_lock, hide_file)

    def act(self, seconds):
        until = time.monotonic() + seconds
        report_at = time.monotonic() + PROGRESS
        while time.monotonic() < until:
            time.sleep(self.dice.uniform(0.1, 1.0))  # the rhythm of the chaos
            action = self.dice.choice(self.ACTIONS)
            self.actions_done[action.__name__] += 1
            action(self)
            if not self.broker.is_running:
                self.run_faults.append(f"the broker ended by itself: {self.broker.log()[-1:]}")
                self.broker.start()
            if time.monotonic() >= report_at:
                report_at += PROGRESS
                print(f"  {sum(self.actions_done.values())} actions, "
                      f"{self.lines()} lines of history", flush=True)

    def lines(self):
        count = 0
        for client in self.clients:
            for path in client.files:
                with contextlib.suppress(FileNotFoundError), open(path, "rb") as f:
                    count += sum(1 for _ in f)
        return count

    def settle(self):
        """End of the chaos: every owner gets every lock once more."""
        self.proxy.heal()
        for client in self.clients:
            client.finish()
        for client in self.clients:
            self.run_faults += client.finished()
        for client in self.clients:
            for path in client.files:
                with contextlib.suppress(FileNotFoundError):
                    self.history.read(path)
        self.run_faults += [t for t in self.broker.log() if pregon.SANITIZER.search(t)]

    def check(self):
        """Texts about the faults: for each rule their number, and the first one with its calls."""
        found = lock_history_check.check(self.history)
        wrong = list(self.run_faults)
        for rule, faults in sorted(found.items()):
            wrong.append(f"{rule}: {len(faults)} faults; the first:\n{faults[0]}")
        return wrong

    def numbers(self):
        calls = self.history.calls
        grants = [c for c in calls if c.is_granted and c.answer.get("is_new")]
        return (f"seed {self.seed}: {dict(self.actions_done)}; {len(calls)} calls, "
                f"{sum(c.answer is None for c in calls)} never answered, {len(grants)} grants "
                f"({sum(c.answer['waited_ms'] > 0 for c in grants)} after a wait), "
                f"{sum(c.op == 'renew' and c.is_good for c in calls)} renewals, "
                f"{sum(c.op == 'value_put' and c.is_good for c in calls)} puts, "
                f"{sum((c.answer or {}).get('error') == 'stale' for c in calls)} stale")

    def close(self):
        for client in self.clients:
            with contextlib.suppress(ProcessLookupError):
                client.process.send_signal(signal.SIGCONT)
            client.kill()
        self.operator.close()
        self.proxy.close()
        self.broker.force_kill()
        self.broker.log_file.close()


def run(seed, seconds, directory):
    """Run the chaos; returns (faults, numbers of the run)."""
    world = World(seed, directory)
    try:
        world.act(seconds)
        world.settle()
        return world.check(), world.numbers()
    finally:
        world.close()


def main():
    print(f"seed {ARGUMENTS.seed}", flush=True)
    directory = ARGUMENTS.keep or tempfile.mkdtemp(prefix="pregon-locks-")
    os.makedirs(directory, exist_ok=True)
    wrong, numbers = run(ARGUMENTS.seed, ARGUMENTS.minutes * 60, directory)
    print(numbers)
    for text in wrong:
        print(text)
    print(f"{len(wrong)} kinds of faults; logs in {directory}" if wrong else "no faults")
    if not wrong and not ARGUMENTS.keep:
        shutil.rmtree(directory)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
