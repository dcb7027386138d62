#!/usr/bin/python3
"""The chaos run kills, stops, stalls and cuts everything at random for some minutes. At the end
no quote may be missing, come twice, or come out of order.

    tests/chaos/chaos.py --bin build/release/bin --minutes 2 --seed 7

The seed determines the actions, but not the exact moment of their effect. Prints the seed, a line
every ten seconds, and the result; exit code 0 if no rule is broken.
"""

import argparse
import concurrent.futures
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    root = os.path.dirname(os.path.dirname(HERE))
    parser.add_argument("--bin", default=os.environ.get("PREGON_BIN")
                        or os.path.join(root, "build", "release", "bin"))
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--store", choices=("sqlite", "memory", "none"), default="sqlite",
                        help="sqlite; memory: the broker is never ended; none: it has no "
                        "store, and may refuse to resume clients")
    parser.add_argument("--package", metavar="PYTHON", action="append", default=[],
                        help="a Python with the package pregon: three of its followers take part")
    parser.add_argument("--keep", metavar="DIR", help="where logs go (default: kept on failure)")
    return parser.parse_args()


ARGUMENTS = arguments()
os.environ["PREGON_BIN"] = os.path.abspath(ARGUMENTS.bin)

# pylint: disable=wrong-import-position  (pregon reads PREGON_BIN when it is imported)
import msgpack
import zmq

import actions
import pregon
import report
import processes
import history_check
from clients import Client
from feeders import Pace, StdinFeeder, WireFeeder
from history import History, seq_of
from package_client import PackageClient
from proxy import Proxy

GATEWAYS = 2
ACTIONS_AT_ONCE = 3
PROGRESS = 10.0
RING_THAT_OVERFLOWS = 200
JOURNAL = 16 << 20  # bytes that the broker keeps in memory: little, so that it also reads the store
ALL = ["*", "*", "A*", "A1,B*", "C*,D*", "B0,C1,D2", "*", "D*"]
MERGE = ["*", "*", "A*,C1", "B*,D*"]
SETTLING = 60 * (5 if pregon.IS_SANITIZED else 1)  # seconds until every client must have everything


class Shape:
    """How many of everything: random, because a fault may need a certain configuration."""

    def __init__(self, dice):
        self.hot = dice.choice((1, 4, 6, 12))  # symbols of a feeder
        self.rare = dice.choice((0, 100, 500, 800))  # more symbols of a feeder
        self.rare_share = dice.choice((0.02, 0.2, 0.5))  # of the quotes
        self.rate = dice.choice((40, 80, 125))  # quotes a second of a feeder
        self.publish_queue = dice.choice((1000, 1000, 20000, 1000000))

    def __str__(self):
        return (f"{self.hot} hot and {self.rare} rare symbols a feeder, {self.rare_share:.0%} "
                f"rare, {self.rate} quotes/s a feeder, PUBLISH_QUEUE {self.publish_queue}")


class World:
    """All running programs, and what the run knows about them."""

    def __init__(self, args, seed, directory):
        self.args, self.seed, self.directory = args, seed, directory
        self.shape = Shape(self.dice("shape"))
        self.history = History()
        self.history.cannot_resume = args.store == "none"
        self.run_faults = []  # (rule, text)
        self.busy = set()
        self.lock = threading.Lock()
        self.context = zmq.Context()
        self.is_over = False
        self.full_disks = []
        self.clients, self.proxies, self.feeders, self.processes = [], [], [], []
        self.links = []  # of each gateway to the broker: proxies of publish and control
        self.disk = None
        self.is_calm = False
        threading.excepthook = self.on_thread_died

    def on_thread_died(self, died):
        self.add_fault("harness", "".join(traceback.format_exception(died.exc_value)))

    # setting up

    def open(self):
        self.disk = processes.Disk(os.path.join(self.directory, "store"),
                                   int(64 + 40 * self.args.minutes))
        self.has = {"memory": set(), "none": set(), "sqlite": {"store"}}[self.args.store]
        if self.disk.is_small and self.args.store == "sqlite":
            self.has.add("disk")
        ports = [pregon.free_port() for _ in range(3 + GATEWAYS)]
        names = ("broker_ingest", "broker_publish", "broker_control")
        self.where = {name: f"tcp://127.0.0.1:{port}" for name, port in zip(names, ports)}
        self.gateway_ports = ports[3:]
        self.broker = self.add_process("broker", "broker", {
            **self.where, **self.store(), "journal_bytes": JOURNAL,
            "publish_queue": self.shape.publish_queue})
        self.broker.start()
        self.links = [tuple(Proxy(f"gateway-{i + 1}'s {way} link",
                                  int(self.where[f"broker_{way}"].rsplit(":", 1)[1]))
                            for way in ("publish", "control")) for i in range(GATEWAYS)]
        self.gateways = [self.gateway(i) for i in range(GATEWAYS)]
        for gateway in self.gateways:
            gateway.start()
        self.proxies = [Proxy(f"proxy-{i + 1}", port)
                        for i, port in enumerate(self.gateway_ports)]
        self.start_feeders()
        self.costs = processes.Costs(self.processes)
        self.start_clients()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def store(self):
        if self.args.store == "none":
            return {}
        if self.args.store == "memory":
            return {"store": "memory"}
        return {"store": f"sqlite:{self.disk.path}/pregon.db"}

    def add_process(self, name, program, settings, **how):
        process = processes.ChaosProcess(name, program, settings, directory=self.directory, **how)
        self.processes.append(process)
        return process

    def gateway(self, i):
        return self.add_process(f"gateway-{i + 1}", "gateway", {
            "broker_publish": f"tcp://127.0.0.1:{self.links[i][0].port}",
            "broker_control": f"tcp://127.0.0.1:{self.links[i][1].port}",
            "port": self.gateway_ports[i], "gateway_name": f"gw-{i + 1}", "heartbeat": 1,
            "websocket_timeout": 8, "websocket_auto_subscribe": "", "client_queue": 256 * 1024,
            "timeout_graceful_shutdown": 2, "access_log": False})

    def start_feeders(self):
        shape = self.shape
        pace = Pace(shape.rate, shape.hot, shape.rare_share)

        def symbols(letter):
            return [f"{letter}{i}" for i in range(shape.hot)] + [
                f"{letter}-RARE{i}" for i in range(shape.rare)]

        for letter in "AB":
            process = self.add_process(f"feeder-{letter}", "feeder", {
                "feed": f"feeder-{letter}", "source": "-",
                "broker_ingest": self.where["broker_ingest"],
                "broker_control": self.where["broker_control"]}, stdin=-1)
            self.feeders.append(StdinFeeder(self.history, f"feeder-{letter}", process,
                                            symbols(letter), pace, self.dice(letter)))
        for letter in "CD":
            self.feeders.append(WireFeeder(
                self.history, f"feeder-{letter}", self.context, self.where, symbols(letter),
                pace, self.dice(letter), can_wait=letter == "C",
                ring=65536 if letter == "C" else RING_THAT_OVERFLOWS,
                keeps_log=self.args.store != "none"))
        self.wire_feeders = self.feeders[2:]
        self.victims = {"broker": [self.broker], "gateway": self.gateways, "feeder": self.feeders}
        for feeder in self.feeders:
            feeder.pause(3600)  # until the first clients are connected
            feeder.start()
        for process in self.processes:
            process.wait_ready()

    def start_clients(self):
        for mode, table in (("all", ALL), ("merge", MERGE)):
            for i, patterns in enumerate(table):
                self.join(mode, patterns, is_proxied=i % 2 == 1,
                          dice=self.dice(f"{mode} {i}"))
        for python in self.args.package:
            self.start_package(python)
        # The clients that will stop reading for a while.
        self.listeners = [c for c in self.clients if c.small_window]
        pregon.eventually(lambda: [c.name for c in self.clients if not c.is_attached],
                          lambda missing: not missing, "every client is connected")
        for feeder in self.feeders:
            feeder.pause(0)

    def start_package(self, python):
        for mode, is_sync, proxied in (("all", False, 1), ("all", True, 0), ("merge", False, 1)):
            ports = [p.port for p in self.proxies] if proxied else self.gateway_ports
            name = f"package-{mode}-{len(self.clients) + 1}"
            self.clients.append(PackageClient(
                self.history, name, mode, ["*"], [(name, port) for port in ports],
                python=python, is_sync=is_sync, directory=self.directory))

    def dice(self, of):
        return random.Random(f"{self.seed} {of}")

    def join(self, mode, patterns, is_proxied, dice):
        if is_proxied:
            endpoints = [(f"gw-{i + 1} by proxy", p.port) for i, p in enumerate(self.proxies)]
        else:
            endpoints = [(f"gw-{i + 1}", port) for i, port in enumerate(self.gateway_ports)]
        number = sum(c.mode == mode for c in self.clients) + 1
        self.clients.append(Client(self.history, f"{mode}-{number}", mode, patterns.split(","),
                                   endpoints, dice, small_window=number % 3 == 0))

    def add_client(self, mode, dice):
        self.join(mode, dice.choice(ALL), dice.random() < 0.5, dice)

    def all_proxies(self):
        return self.proxies + [link for pair in self.links for link in pair]

    # looking

    def add_fault(self, rule, text):
        with self.lock:
            self.run_faults.append((rule, f"{self.history.now():.1f} s: {text}"))

    def head(self):
        """The newest position that any client has received."""
        return max((c.position or 0) for c in self.clients)

    def durability(self):
        for port in self.gateway_ports:
            durable = processes.durability(processes.page(port, "health"))
            if durable is not None:
                return durable
        return None

    def watch(self):
        """Once a second: check that no program has ended by itself, and record the oldest stored
        position, memory and descriptors."""
        broker = Requester(self.context, self.where["broker_control"])
        while not self.is_over:
            self.costs.look()
            answer = broker.request("replay", pattern="*", after=seq_of(self.head()), limit=1)
            if answer and "first" in answer:
                epoch = f"{answer['epoch']:016x}"
                self.history.oldest_stored.append(
                    (self.history.now(), self.history.where(epoch, answer["first"])))
            for process in self.processes:
                self.check_alive(process)
            time.sleep(1.0)
        broker.close()

    def check_alive(self, process):
        with self.lock:
            if process.name in self.busy or process.is_running or self.is_over or self.is_calm:
                return
            self.busy.add(process.name)
        try:
            self.add_fault("ends", f"{process.name} ended by itself, code "
                           f"{process.process.returncode}: {process.log()[-1:]}")
            feeder = next((f for f in self.feeders if f.name == process.name), None)
            if feeder:
                feeder.record_exit()
            self.restart(feeder or process)
        finally:
            with self.lock:
                self.busy.discard(process.name)

    # acting

    def restart(self, victim):
        if victim in self.gateways:
            victim.start(wait=False)  # its ready line may have to wait for the broker
        else:
            victim.start()

    def act(self, seconds):
        dice = random.Random(self.seed)
        until = time.monotonic() + seconds
        report_at = time.monotonic() + PROGRESS
        count = passed_over = 0
        with concurrent.futures.ThreadPoolExecutor(ACTIONS_AT_ONCE) as pool:
            running = []
            while time.monotonic() < until:
                pause = dice.choice((0.05, dice.uniform(0.1, 1.0), dice.uniform(0.5, 1.5)))
                time.sleep(pause)  # the rhythm of the chaos
                action = actions.choose(self, dice)
                running = [r for r in running if not r.done()]
                if len(running) >= ACTIONS_AT_ONCE or not self.reserve(action):
                    passed_over += 1
                else:
                    count += 1
                    running.append(pool.submit(self.perform, action))
                if time.monotonic() >= report_at:
                    report_at += PROGRESS
                    self.report(count, passed_over)
        self.report(count, passed_over)

    def reserve(self, action):
        with self.lock:
            if action.victim in self.busy:
                return False
            if action.victim:
                self.busy.add(action.victim)
            return True

    def perform(self, action):
        over = self.history.act(action.text)
        more = ""
        try:
            more = action.perform() or ""
        except (AssertionError, OSError) as e:
            more = f": {e}"
            self.add_fault("ends", f"{action.text}: {e}")
            victim = next((v for several in self.victims.values() for v in several
                           if v.name == action.victim), None)
            if victim and not victim.is_running:
                self.restart(victim)
        except Exception:
            self.add_fault("harness", traceback.format_exc())
        finally:
            over(more)
            with self.lock:
                self.busy.discard(action.victim)

    def report(self, count, passed_over):
        quotes = sum(f.written for f in self.feeders)
        print(f"{self.history.now():6.0f} s  {count} actions ({passed_over} skipped), "
              f"{quotes} quotes, position {seq_of(self.head())}, "
              f"{sum(c.is_attached for c in self.clients)} of {len(self.clients)} clients, "
              f"{sum(len(c.received.connections) for c in self.clients)} connections, "
              f"{sum(c.resumed for c in self.clients)} resumed, "
              f"{sum(c.is_slow for c in self.clients)} too slow", flush=True)

    # the end

    def settle(self):
        """End of the chaos: every client must receive everything."""
        self.history.act("the chaos is over")()
        for proxy in self.all_proxies():
            proxy.heal()
        self.disk.clear()
        for feeder in self.feeders:
            feeder.budget = min(feeder.budget, 2000)
            feeder.finish()
        self.wait("the feeders' last quotes", lambda: [
            f.name for f in self.feeders if not f.has_finished])
        for feeder in self.feeders:
            self.history.finals.update(feeder.finals())
        finals = self.history.finals
        self.wait("the last quotes at every client", lambda: [
            f"{c.name}: {c.lacks(finals)[:3]}" for c in self.clients if not c.shows(finals)])
        if self.args.store == "sqlite" and self.durability() is False:
            self.wait("the broker to store everything", lambda: self.durability() is False)

    def wait(self, what, missing):
        try:
            pregon.eventually(missing, lambda m: not m, what, SETTLING)
        except pregon.Lost as e:
            self.add_fault("settles", str(e))

    def measure(self):
        """Rows of the report about processor time and memory."""
        rows = [("memory", *row) for row in self.costs.check_memory()]
        for client in self.clients:
            client.close()
        for proxy in self.proxies:
            proxy.close()
        rows += [("descriptors", *row) for row in self.costs.check_descriptors(12)]
        return rows

    def close(self):
        """All feeders send their remaining lines, then all programs stop in order."""
        self.is_calm = True
        for feeder in self.feeders:
            with self.adding_faults("feeder's end"):
                feeder.settle()
            for text in feeder.breaches:
                self.add_fault("feeders", f"{feeder.name}: {text}")
        self.is_over = True
        self.watcher.join(5)
        for process in self.gateways + [self.broker]:
            with self.adding_faults("SIGTERM at the end"):
                process.stop()

    @contextlib.contextmanager
    def adding_faults(self, what):
        try:
            yield
        except (AssertionError, OSError) as e:
            self.add_fault("ends", f"{what}: {e}")

    def kill_all(self):
        """End every process, whatever happened."""
        self.is_calm = self.is_over = True
        for feeder in self.feeders:
            feeder.close()
        for process in self.processes:
            process.force_kill()
            process.log_file.close()
        self.context.destroy(linger=0)

    def check_logs(self):
        for process in self.processes:
            for text in process.log():
                if pregon.SANITIZER.search(text):
                    self.add_fault("sanitizers", f"{process.name}: {text}")


class Requester:
    """Requests to a broker that may be away."""

    def __init__(self, context, where):
        self.context, self.where = context, where
        self.socket = None
        self.id = 0

    def request(self, op, **members):
        if not self.socket:
            self.socket = self.context.socket(zmq.DEALER)
            self.socket.linger = 0
            self.socket.connect(self.where)
        self.id += 1
        self.socket.send(msgpack.packb({"op": op, "id": self.id, **members}))
        until = time.monotonic() + 2
        while self.socket.poll(max(0, int(1000 * (until - time.monotonic())))):
            answer = msgpack.unpackb(self.socket.recv(), strict_map_key=False)
            if answer.get("id") == self.id:
                return answer
        self.close()
        return None

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None


def run(args, seed, directory):
    world = World(args, seed, directory)
    is_well = False
    print(world.shape, flush=True)
    try:
        world.open()
        world.act(args.minutes * 60)
        world.settle()
        costs = world.measure()
        world.close()
        world.check_logs()
        began = time.monotonic()
        faults = history_check.check(world.history)
        is_well = report.print_result(world, faults, costs)
        print(f"     checked in {time.monotonic() - began:.1f} s")
        if not is_well:
            report.print_faults(world, faults)
        return is_well
    finally:
        with contextlib.suppress(OSError):
            report.write_actions(world)
        world.kill_all()
        if world.disk:
            world.disk.unmount(None if is_well else os.path.join(directory, "store-at-the-end"))


def main():
    args = ARGUMENTS
    seed = random.SystemRandom().randrange(10**6) if args.seed is None else args.seed
    print(f"seed {seed}, {args.minutes:g} minutes, store {args.store}, "
          f"{os.environ['PREGON_BIN']}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if args.keep:
        os.makedirs(args.keep, exist_ok=True)
    directory = tempfile.mkdtemp(prefix=f"pregon-chaos-{seed}-", dir=args.keep)
    is_well = False
    try:
        is_well = run(args, seed, directory)
    finally:
        if is_well and not args.keep:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"logs are in {directory}")
        print(f"{'no faults' if is_well else 'FAULTS FOUND'}; again: --seed {seed}", flush=True)
    return 0 if is_well else 1


if __name__ == "__main__":
    if ARGUMENTS.store == "sqlite":
        processes.enter_own_mounts()
    sys.exit(main())
