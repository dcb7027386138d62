"""Starts, pins, samples and ends the measured servers and the load."""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(ROOT, "tests", "bench")
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

import pregon  # noqa: E402

PROGRAMS = os.path.join(pregon.BIN, "..", "tests", "bench")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES = {CORES[0]}
LOAD_CORES = {CORES[1 % len(CORES)]}
DESCRIPTORS = 20000
PATIENCE = (
    75  # seconds for an answer of the load, which itself waits for at most 30 beyond its work
)


@contextlib.contextmanager
def on(cores):
    """Run the processes started in this block on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def keep_off_the_servers():
    """Move our log-reading threads away from the servers' core."""
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task), LOAD_CORES)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def seconds_of(pids):
    """Processor time, user and system, of all threads, in nanoseconds (/proc/PID/stat has only
    hundredths of a second)."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
    return total / 1e9


def rss_of(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/statm", encoding="ascii") as f:
            total += int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


class Server:
    """A server that takes JSON lines at `feed` and clients at `ports`."""

    is_bare = False  # adds type, seq and prev itself
    has_acks = False
    missing = None  # why it cannot be measured here
    protocol = "websocket"

    def __init__(self):
        self.processes = []
        self.ready = []
        self.feeder = None  # a process that brings the lines to the server

    def spawn(self, *command, env=None):
        with on(SERVER_CORES):
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       text=True, env=env)
        self.processes.append(process)
        self.ready = process.stdout.readline().split()
        if not self.ready:
            raise RuntimeError(f"{command[0]} did not get ready")
        return process

    @property
    def pids(self):
        return [p.pid for p in self.processes]

    def start_feeder(self, program, *arguments):
        with on(LOAD_CORES):
            self.feeder = subprocess.Popen([os.path.join(PROGRAMS, program), *map(str, arguments)],
                                           stdin=subprocess.PIPE)

    @property
    def feed(self):
        return (self.feeder or self.processes[0]).stdin.fileno()

    def end(self):
        if self.feeder:
            self.feeder.kill()
            self.feeder.wait()
            self.feeder.stdin.close()
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stdin.close()


class Floor(Server):
    how = "turn"

    def __init__(self, **_):
        super().__init__()
        self.ports = [free_port()]
        self.spawn(os.path.join(PROGRAMS, "floor"), str(self.ports[0]), self.how)


class FloorA(Floor):
    how = "each"


class Hops(Server):
    """Bare ZeroMQ in the places of feeder, broker and gateway."""

    def __init__(self, **_):
        super().__init__()
        self.spawn(os.path.join(PROGRAMS, "relay"), "proxy")
        entry, exit_ = self.ready[1:]
        self.ports = [free_port()]
        self.spawn(os.path.join(PROGRAMS, "floor"), str(self.ports[0]), "turn", exit_)
        self.start_feeder("relay", "lines", entry)


class Pregon(Server):
    """As `make run` starts it, except the number of connections and free ports."""

    is_bare = True
    has_acks = True

    def __init__(self, gateways=1, **settings):
        super().__init__()
        self.settings = {"websocket_max_connections": 19000, **settings}
        self.system = system = pregon.System()
        with on(SERVER_CORES):
            self.broker = system.broker(store=f"sqlite:{system.path('pregon.db')}")
            self.gateways = [self.gateway() for _ in range(gateways)]
        with on(LOAD_CORES):
            self.feeder = system.feeder(self.broker, "-", feed="bench")
        keep_off_the_servers()

    def gateway(self):
        return self.system.gateway(self.broker, descriptors=DESCRIPTORS, **self.settings)

    def kill_gateway(self):
        self.settings["port"] = self.gateways[0].port
        self.gateways[0].kill()

    def start_gateway(self):
        """Start a new gateway at the address of the killed one."""
        with on(SERVER_CORES):
            self.gateways = [self.gateway()]
        keep_off_the_servers()

    @property
    def ports(self):
        return [g.port for g in self.gateways]

    @property
    def pids(self):
        return [self.broker.pid] + [g.pid for g in self.gateways]

    @property
    def feed(self):
        return self.feeder.process.stdin.fileno()

    def end(self):
        for gateway in self.gateways:  # thousands of close frames would be measured too
            if gateway.is_running:
                gateway.kill()
        self.system.end()


SERVERS = {
    "pregon": Pregon,
    "floor B": Floor,
    "floor A": FloorA,
    "hops": Hops,
}  # and those of peers.py


class Helper:
    """A process that answers each line with one of JSON, on the load's core."""

    process = None

    def __init__(self, program, *arguments):
        with on(LOAD_CORES):
            self.process = subprocess.Popen(
                [sys.executable, os.path.join(HERE, program), *map(str, arguments)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def hear(self):
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise RuntimeError(f"a helper says nothing for {PATIENCE} s")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a helper ended")
        return json.loads(line)

    def request(self, *words):
        self.say(*words)
        return self.hear()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Load(Helper):
    """tests/bench/load, connected to a server."""

    def __init__(self, server, symbols=1, each=1, size=120, mode="merge"):
        self.server = server
        self.mode = mode if server.is_bare else "all"
        command = [
            os.path.join(PROGRAMS, "load", "load"),
            "--ports",
            ",".join(map(str, server.ports)),
            "--symbols",
            str(symbols),
            "--each",
            str(each),
            "--bytes",
            str(size),
            "--mode",
            mode,
            "--protocol",
            server.protocol,
        ]
        command += ["--bare"] * server.is_bare + ["--acks"] * server.has_acks

        def wire():
            os.dup2(server.feed, 3)
            os.set_inheritable(3, True)

        with on(LOAD_CORES):
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            text=True, preexec_fn=wire, close_fds=False)

    def connect(self, count, flight=128):
        answer = self.request("connect", count, flight)
        if answer["refused"]:
            raise RuntimeError(
                f"{type(self.server).__name__} refused {answer['refused']} of {count}"
            )
        return answer

    def publish(self, rate, seconds):
        """The answer, with what it cost the server: `cpu_us` of each delivery."""
        before, own = seconds_of(self.server.pids), seconds_of([self.process.pid])
        answer = self.request("publish", rate, seconds)
        spent = seconds_of(self.server.pids) - before
        answer["load_busy"] = (seconds_of([self.process.pid]) - own) / answer["seconds"]
        answer["server_cpu"] = spent
        answer["cpu_us"] = spent / answer["delivered"] * 1e6 if answer["delivered"] else 0
        # In mode merge a newer value may take the place of one that has not been sent: not a loss.
        came = answer["delivered"] + (answer["missed"] if self.mode == "merge" else 0)
        answer["is_whole"] = (came == answer["expected"] and not answer["backward"]
                              and not answer["errors"] and not answer["closed"])
        return answer


@contextlib.contextmanager
def start(name, gateways=1, settings=None, **how):
    """A server and its load, both ended afterwards."""
    server = SERVERS[name](gateways=gateways, **(settings or {}))
    try:
        load = Load(server, **how)
        try:
            yield server, load
        finally:
            load.end()
    finally:
        server.end()
