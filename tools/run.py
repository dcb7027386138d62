#!/usr/bin/python3
"""Start a broker, a feeder that replays recorded quotes, and a gateway; Ctrl-C stops them.

Each is a separate process. A process that dies is started again after 0.2 s. If it died within 2 s
of its start, the delay doubles each time, up to 5 s. A process that ends before it was ever ready,
or because its settings are wrong (exit code 2), stops all.  The programs read the environment and
.env as they always do, for instance:

  HOST, PORT         where the gateway listens (127.0.0.1, 8000)
  SPEED              multiplies the speed of the replay (1)
  DATA_DIR           where the log is kept (data)
  STORE              sqlite:FILE or memory (sqlite:DATA_DIR/pregon.db)
  BROKER_INGEST, BROKER_PUBLISH, BROKER_CONTROL
                     the broker's addresses; port 0 takes free ones, kept until the end
"""

import argparse
import ctypes
import os
import re
import selectors
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Speed of the replay of each table, so that some price changes every second.
TAPES = {"usdthb": 60, "usdchf": 1800, "EuStockMarkets": 86400, "sp500_daily": 86400}

DELAY_FIRST, DELAY_LAST = 0.2, 5.0  # seconds before a program is started again
STEADY = 2.0  # after running for this long, the next end counts as the first one again
GRACE = 5.0  # seconds after SIGTERM, added to the programs' own time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
COLORS = {"broker": 35, "feeder": 33, "gateway": 36}


def die_with(parent):
    """In the child: ask to be killed when the parent dies; the parent may be dead already."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class Program:
    def __init__(self, name, path, *args):
        self.name = name
        self.command = [path, *args]
        self.env = {}  # added to the environment
        self.process = None
        self.pidfd = None
        self.line = b""  # an incomplete line of output
        self.started_at = 0.0
        self.start_at = None  # time of the next start
        self.delay = DELAY_FIRST
        self.was_ready = False  # it was ready once
        self.hint = None  # advice, taken from its output

    def start(self):
        parent = os.getpid()
        self.start_at = None
        self.started_at = time.monotonic()
        self.line = b""
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.env},
            start_new_session=True,  # only this process handles the terminal's Ctrl-C
            preexec_fn=lambda: die_with(parent),
        )
        self.pidfd = os.pidfd_open(self.process.pid)
        os.set_blocking(self.process.stdout.fileno(), False)

    def read_lines(self):
        """The complete lines so far."""
        try:
            data = os.read(self.process.stdout.fileno(), 65536)
        except BlockingIOError:
            data = b""
        if not data:
            return None
        *lines, self.line = (self.line + data).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def end(self):
        """The exit code, negative for a signal, or None."""
        code = self.process.wait()
        os.close(self.pidfd)
        self.process.stdout.close()
        self.process = None
        return code

    def die(self, now):
        if now - self.started_at >= STEADY:
            self.delay = DELAY_FIRST
        self.start_at = now + self.delay
        self.delay = min(self.delay * 2, DELAY_LAST)
        return self.start_at - now


class Supervisor:
    def __init__(self, broker, feeder, gateway):
        self.broker, self.feeder, self.gateway = broker, feeder, gateway
        self.programs = [broker, feeder, gateway]
        self.selector = selectors.DefaultSelector()
        self.is_stopping = False
        self.leaving = None  # the program that got SIGTERM and still runs
        self.kill_at = None
        self.code = 0
        self.url = None
        self.has_color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def say(self, name, text):
        prefix = f"{name:<7} |"
        if self.has_color and name in COLORS:
            prefix = f"\033[{COLORS[name]}m{prefix}\033[0m"
        try:
            print(prefix, text, flush=True)
        except OSError:  # our output is closed; the programs did not fail
            sys.stdout = open(os.devnull, "w")

    def start(self, program):
        try:
            program.start()
        except OSError as e:
            self.say("run", f"{program.command[0]}: {e.strerror}")
            self.stop(2)
            return
        self.selector.register(program.process.stdout, selectors.EVENT_READ, program)
        self.selector.register(program.pidfd, selectors.EVENT_READ, program)

    def start_others(self):
        for program in (self.feeder, self.gateway):
            if not program.process and program.start_at is None:
                self.start(program)

    def show(self, program):
        """Show the program's new output; return whether there was any."""
        lines = program.read_lines()
        for line in lines or []:
            self.say(program.name, line)
            program.hint = hint(line) or program.hint
            if line.startswith("ready "):
                program.was_ready = True
                self.on_ready(program, line)
        return lines is not None

    def on_ready(self, program, line):
        values = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if program is self.broker:
            for key in ("ingest", "publish", "control"):
                name, address = "BROKER_" + key.upper(), values[key]
                # After a restart it must listen at the same address.
                self.broker.env[name] = address
                address = address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
                self.feeder.env[name] = self.gateway.env[name] = address
            if not self.is_stopping:
                self.start_others()
        elif program is self.gateway:
            found = re.search(r"([\d.]+|\[[\da-f:]+\]):(\d+)\b", line)
            if found:
                self.gateway.env["PORT"] = found[2]
                self.show_addresses(found[1], found[2])

    def show_addresses(self, host, port):
        host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
        url = f"{host}:{port}"
        if url == self.url:
            return
        self.url = url
        self.say("run", "Pregón is up; Ctrl-C stops it")
        self.say("run", f"  quote board  http://{url}/")
        self.say("run", f"  stream       ws://{url}/ws/cotizaciones")
        self.say("run", f"  health       http://{url}/cotizaciones/health")

    def forget(self, file):
        if file in self.selector.get_map():
            self.selector.unregister(file)

    def on_exit(self, program):
        while self.show(program):
            pass
        if program.line:
            self.say(program.name, program.line.decode(errors="replace"))
        self.forget(program.process.stdout)
        self.forget(program.pidfd)
        code = program.end()
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        verb = "died" if code else "ended"
        if self.is_stopping:
            self.say("run", f"{program.name} stopped ({how})")
            if program is self.leaving:
                self.stop_next()
        elif code == 2 and not program.hint:
            self.say("run", f"{program.name} says its settings are wrong; stopping")
            self.stop(2)
        elif code == 2 or not program.was_ready:
            when = "" if program.was_ready else " before it was ready"
            self.say("run", f"{program.name} {verb}{when} ({how}); stopping")
            if program.hint:
                self.say("run", program.hint)
            self.stop(128 - code if code < 0 else code or 1)
        else:
            wait = program.die(time.monotonic())
            self.say("run", f"{program.name} {verb} ({how}); again in {wait:.1f} s")

    def on_signal(self, number):
        if not self.is_stopping:
            self.say("run", f"{signal.Signals(number).name}: stopping")
            self.stop(0)
        elif number == signal.SIGINT:
            self.code = 1
            for program in self.programs:
                if program.process:
                    program.process.kill()

    def stop(self, code):
        if not self.is_stopping:
            self.is_stopping, self.code = True, code
            self.stop_next()

    def stop_next(self):
        """Stop one by one, from the gateway to the broker, so that the broker still receives the
        others' goodbye."""
        self.leaving = self.kill_at = None
        for program in self.programs:
            program.start_at = None
            if program.process:
                self.leaving = program  # the last program that still runs
        if self.leaving:
            self.leaving.process.terminate()
            self.kill_at = time.monotonic() + GRACE + own_grace()

    def kill_late(self):
        self.say("run", f"{self.leaving.name} does not stop: killed")
        self.leaving.process.kill()
        self.kill_at = None

    def wait_s(self):
        times = [p.start_at for p in self.programs if p.start_at is not None]
        if self.kill_at is not None:
            times.append(self.kill_at)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def turn(self, signals):
        for key, _ in self.selector.select(self.wait_s()):
            if key.fileobj == signals:
                for number in os.read(signals, 64):
                    self.on_signal(number)
            elif key.data.process is None:
                continue  # ended earlier in this turn
            elif key.fileobj == key.data.pidfd:
                self.on_exit(key.data)
            elif not self.show(key.data):
                self.forget(key.fileobj)  # the pipe is closed: the program is ending
        now = time.monotonic()
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_late()
        for program in self.programs:
            if program.start_at is not None and now >= program.start_at:
                self.start(program)

    def run(self, signals):
        self.selector.register(signals, selectors.EVENT_READ)
        self.start(self.broker)
        while not self.is_stopping or any(p.process for p in self.programs):
            self.turn(signals)
        return self.code


def hint(line):
    """The command to type if the line reports a taken port."""
    found = re.search(r"another program listens on .*, or set (\w+)", line)
    if not found:
        return None
    if found[1] == "PORT":
        return "for instance: PORT=8010 make run"
    names = ("BROKER_INGEST", "BROKER_PUBLISH", "BROKER_CONTROL")
    free = " ".join(f"{name}=tcp://127.0.0.1:0" for name in names)
    return f"free ones: {free} make run"


def own_grace():
    """The time in which programs must stop; the gateway's default is the longest."""
    try:
        return float(os.environ["TIMEOUT_GRACEFUL_SHUTDOWN"])
    except (KeyError, ValueError):
        return 10.0


def signal_pipe():
    """A descriptor that delivers signals as bytes, so that the loop need not be interrupted."""
    out, into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(into)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return out


def sources(data, speed):
    for name, faster in TAPES.items():
        path = os.path.relpath(os.path.join(data, name + ".csv"))
        yield "--source"
        yield f"csv:{path}?speed={faster * speed}"


def is_set(name):
    """Whether a setting is in the environment or in .env, as the programs read them."""
    if os.environ.get(name):
        return True
    try:
        with open(".env", encoding="utf-8") as f:
            return any(re.match(rf"\s*(export\s+)?{name}\s*=", line) for line in f)
    except OSError:
        return False


def store():
    """The broker's flags for the store."""
    if is_set("STORE"):
        return []
    directory = os.environ.get("DATA_DIR") or "data"
    os.makedirs(directory, exist_ok=True)
    return ["--store", "sqlite:" + os.path.join(directory, "pregon.db")]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bin", required=True, metavar="DIR", help="where the programs are")
    parser.add_argument(
        "--data",
        default=os.path.join(ROOT, "feeder", "data"),
        metavar="DIR",
        help="where the recorded quotes are (default: feeder/data)",
    )
    options = parser.parse_args()
    speed = os.environ.get("SPEED") or "1"
    if not re.fullmatch(r"\d{1,4}", speed):
        parser.error(f"SPEED={speed!r}: must be a whole number from 0 to 9999")

    def path(name):
        return os.path.join(options.bin, "pregon-" + name)

    supervisor = Supervisor(
        Program("broker", path("broker"), *store()),
        Program(
            "feeder",
            path("feeder"),
            *("--feed", "recorded", "--loop", *sources(options.data, int(speed))),
        ),
        Program("gateway", path("gateway")),
    )
    return supervisor.run(signal_pipe())


if __name__ == "__main__":
    sys.exit(main())
