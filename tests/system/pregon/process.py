"""A program as a process: its settings, logs, routes, resource use and end."""

import http.client
import os
import re
import select
import signal
import subprocess
import threading

from .basics import BIN, Lost, PATIENCE
from .http_client import Answer


def plain_environment():
    return {k: v for k, v in os.environ.items() if k == "PATH" or k.endswith("SAN_OPTIONS")}


def is_secret(name):
    """Secret settings have no flag, because the list of processes shows flags."""
    return name.endswith("_token")


class Pipe:
    """The lines that a program writes to one of its streams, read without waiting."""

    def __init__(self, stream, file):
        self.stream = stream
        self.file = file
        self.ended = False
        self.rest = b""  # the begin of a line that is not complete yet
        os.set_blocking(file.fileno(), False)

    def lines(self):
        """The lines that have come since the last call; at the end the last one too."""
        data = bytearray(self.rest)
        while not self.ended:
            try:
                read = os.read(self.file.fileno(), 65536)
            except BlockingIOError:
                break
            data += read
            self.ended = not read
        *lines, self.rest = bytes(data).split(b"\n")
        if self.ended and self.rest:
            lines.append(self.rest)
            self.rest = b""
        return [raw.decode(errors="backslashreplace") for raw in lines]


class Process:
    """One of our programs. After a restart it has the same addresses, and its log continues."""

    def __init__(self, name, program, settings, *, cwd, env=None, stdin=None, flags=(),
                 descriptors=None, command=None):
        self.name = name
        self.program = program
        self.settings = dict(settings)
        self.command = command
        self.flags = list(flags)
        self.cwd = cwd
        self.env = dict(env or {})
        self.stdin = stdin
        self.descriptors = descriptors
        self.lines = []  # (stream, text) of all its starts
        self.ready = {}
        self.process = None
        self.changed = threading.Condition()  # its lock is reentrant
        self.expected = {0}  # exit codes that are right for this life
        self.readers = []
        self.pipes = []

    def arguments(self):
        if self.command:
            return list(self.command)
        args = [os.path.join(BIN, "pregon-" + self.program)]
        for name, value in self.settings.items():
            if is_secret(name):
                continue
            for one in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(one, bool):
                    one = int(one)
                args.append(f"--{name.replace('_', '-')}={one}")
        return args + self.flags

    def start(self, wait=True):
        # The user's environment must not become a setting.
        env = plain_environment()
        env.setdefault("ASAN_OPTIONS", "quarantine_size_mb=16")
        env.update({name.upper(): value for name, value in self.settings.items()
                    if is_secret(name)})
        env.update(self.env)

        def prepare():
            if self.descriptors:
                import resource

                resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors,) * 2)

        self.ready = {}
        self.is_ready = False
        self.mark = len(self.lines)
        self.expected = {0}
        self.process = subprocess.Popen(
            self.arguments(),
            cwd=self.cwd,
            env=env,
            stdin=self.stdin if self.stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=prepare if self.descriptors else None,
        )
        self.pipes = [Pipe("out", self.process.stdout), Pipe("err", self.process.stderr)]
        self.readers = [
            threading.Thread(target=self._read, args=(pipe,), daemon=True) for pipe in self.pipes
        ]
        for reader in self.readers:
            reader.start()
        if wait:
            self.wait_ready()
        return self

    def _read(self, pipe):
        readable = select.poll()  # select() takes no descriptor above 1023
        readable.register(pipe.file, select.POLLIN)
        while not pipe.ended:
            readable.poll()
            self._take(pipe)
        pipe.file.close()

    def _take(self, pipe):
        """Take the lines that are in the pipe now."""
        with self.changed:
            for text in pipe.lines():
                self._take_line(pipe.stream, text)
            self.changed.notify_all()

    def _take_line(self, stream, text):
        self.lines.append((stream, text))
        if stream == "out" and text.startswith("ready "):
            self.ready = dict(w.split("=", 1) for w in text.split()[1:])
            self.is_ready = True

    def wait_ready(self):
        with self.changed:
            self.changed.wait_for(
                lambda: self.is_ready or not any(r.is_alive() for r in self.readers), PATIENCE
            )
        if not self.is_ready:
            raise Lost(f"{self.name} did not get ready")
        return self

    # log

    def log(self, stream=None):
        """All lines that it wrote before this call."""
        with self.changed:
            for pipe in self.pipes:
                self._take(pipe)
            return [text for s, text in self.lines if stream in (None, s)]

    def logged(self, pattern, stream=None):
        return [m for m in (re.search(pattern, text) for text in self.log(stream)) if m]

    def wait_for_log(self, pattern, after=0, stream=None, patience=None):
        """Wait for a line that matches, and return the match; ignores the first `after` lines."""
        found = None

        def look():
            nonlocal found
            for s, text in self.lines[after:]:
                found = re.search(pattern, text) if stream in (None, s) else None
                if found:
                    return True
            return False

        with self.changed:
            if not self.changed.wait_for(look, patience or PATIENCE):
                raise Lost(f"{self.name} never said {pattern!r}")
        return found

    def log_position(self):
        """The number of lines so far, for `wait_for_log(…, after=)`."""
        return len(self.log())

    # how it ends

    @property
    def pid(self):
        """None if it was never started."""
        return self.process and self.process.pid

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait_for_exit(self, code=0):
        """Wait until the process ends by itself, and check its exit code."""
        self.expected = {code}
        try:
            self.process.wait(PATIENCE + 15)
        except subprocess.TimeoutExpired:
            raise Lost(f"{self.name} did not end") from None
        for reader in self.readers:
            reader.join(PATIENCE)
        got = self.process.returncode
        assert got == code, f"{self.name} ended with {got}, not {code}"
        return self

    def stop(self, code=0):
        self.signal(signal.SIGTERM)
        return self.wait_for_exit(code)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait_for_exit(-signal.SIGKILL)

    def write(self, data):
        self.process.stdin.write(data.encode() if isinstance(data, str) else data)
        self.process.stdin.flush()

    def end_of_input(self):
        self.process.stdin.close()

    # resource use

    def rss(self):
        """Bytes in memory."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def ticks(self):
        """Processor time used so far; the kernel's unit, a hundred a second."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def descriptors_open(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    # where it is

    @property
    def url(self):
        return self.ready["http"]

    @property
    def port(self):
        return int(self.ready["http"].rsplit(":", 1)[1])

    @property
    def address(self):
        return "127.0.0.1", self.port

    # what its pages say

    def get(self, path, method="GET", headers=None, body=None):
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.reason, answer.headers, answer.read())
        finally:
            connection.close()

    def page(self, name, **headers):
        """A page under /cotizaciones/ as a dict."""
        return self.get("/cotizaciones/" + name, headers=headers).json()

    def status(self):
        return self.page("websocket_status")
