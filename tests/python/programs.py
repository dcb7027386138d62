"""Programs on the package, in the environments that venvs.py has made, controlled by a test."""

import json
import os
import signal
import subprocess

import pregon

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(pregon.ROOT, "consumer", "python")
VENVS = os.path.join(pregon.ROOT, "build", "python", "venvs")


def _order(name):
    version, _, age = name.partition("-")
    return [int(part) for part in version.split(".")], age == "newest"


NAMES = sorted((name for name in os.listdir(VENVS) if "-" in name),
               key=_order) if os.path.isdir(VENVS) else []
EXTREMES = NAMES[:1] + NAMES[-1:]  # the oldest of all, and the newest of all
TOOLS = os.path.join(VENVS, "tools", "bin", "python")


def interpreter(name):
    return os.path.join(VENVS, name, "bin", "python")


class Program(pregon.Process):
    """A program of a user.  `code` is its text, or the name of a file in this folder."""

    def __init__(self, system, python, code, *arguments, env=None, stdin=None):
        count = sum(p.program == "program" for p in system.processes) + 1
        path = (os.path.join(HERE, code) if code.endswith(".py")
                else system.path(f"program{count}.py", code))
        super().__init__(f"program{count}", "program", {}, cwd=system.directory.name,
                         command=[interpreter(python), "-u", path, *arguments], env=env,
                         stdin=stdin)
        system.processes.append(self)
        self.start(wait=False)

    def stop(self, code=-signal.SIGTERM):  # Python does not catch SIGTERM
        return super().stop(code)

    def finish(self):
        """Waits for its end; returns its output."""
        self.wait_for_exit(0)
        return "\n".join(self.log("out"))


class Follower(Program):
    """follower.py: prints all that a follower hears."""

    def __init__(self, system, python, urls, is_sync=False, **options):
        how = json.dumps({"urls": urls, "is_sync": is_sync, **options})
        super().__init__(system, python, "follower.py", how, stdin=subprocess.PIPE)
        self.at = 0

    @property
    def events(self):
        """All events so far: (kind, fields)."""
        return [tuple(json.loads(line)) for line in self.log("out")]

    def all(self, kind):
        return [fields for k, fields in self.events if k == kind]

    def receive(self, kind, **fields):
        """The next event of that kind with those fields; passes over those before."""

        def look():
            lines = self.log("out")
            is_over = not self.is_running
            while self.at < len(lines):
                k, found = json.loads(lines[self.at])
                self.at += 1
                if k == kind and fields.items() <= found.items():
                    return [found]
            return is_over and "over"

        found = pregon.eventually(look, what=f"{kind} {fields}")
        if found == "over":
            raise pregon.Lost(f"{self.name} ended before {kind} {fields}")
        return found[0]

    def connected(self):
        self.receive("status", phase="connected")
        return self


def follow(system, python, gateway, is_sync=False, **options):
    return Follower(system, python, gateway.url, is_sync, **options)
