"""Programs on pregon.js under Node, controlled by a test."""

import json
import os
import shutil
import subprocess
import tarfile

import pytest

import pregon

HERE = os.path.dirname(os.path.abspath(__file__))
ANSWERS = ("answer", "refusal")
SOCKETS = pytest.mark.parametrize("socket", ["own", "ws"])  # which WebSocket pregon.js uses
PACKAGE = os.path.join(pregon.ROOT, "consumer", "js")
MODULES = os.path.join(pregon.ROOT, "build", "npm-tests", "node_modules")


def has_socket(*flags):
    seen = subprocess.run(
        [NODE, *flags, "-p", "typeof WebSocket"], capture_output=True, text=True, check=False
    )
    return seen.stdout.strip() == "function"


NODE = shutil.which("node")
FLAG = "--experimental-websocket"  # for Node versions that need the flag
HAS_SOCKET = bool(NODE) and has_socket()
OWN = [NODE, FLAG] if NODE and not HAS_SOCKET and has_socket(FLAG) else [NODE]


class Follower(pregon.Process):
    """follow.mjs: one client of pregon.js in a separate process."""

    def __init__(self, system, url, socket="own", **options):
        """socket: Node's own WebSocket, where it has one, or that of npm's ws."""
        node = OWN if socket == "own" else [NODE]
        command = [*node, os.path.join(HERE, "follow.mjs"), url, json.dumps(options)]
        count = sum(p.program == "follow" for p in system.processes)
        super().__init__(
            f"follow{count + 1}",
            "follow",
            {},
            cwd=system.directory.name,
            env={"WS": os.path.join(MODULES, "ws", "wrapper.mjs")},
            command=command,
            stdin=subprocess.PIPE,
        )
        self.at = dict.fromkeys((None, *ANSWERS), 0)  # up to where the test has listened
        system.processes.append(self)
        self.start(wait=False)

    @property
    def told(self):
        """All events so far: (kind, value)."""
        return [tuple(json.loads(text)) for text in self.log("out")]

    def all(self, kind, **fields):
        return [what for k, what in self.told if k == kind and fields.items() <= what.items()]

    def receive(self, kind, where=None, **fields):
        """The next of that kind (or kinds) with those fields; what comes before is passed over.

        Answers are listened to by themselves: they come among what the client hears.
        """
        kinds = kind if isinstance(kind, tuple) else (kind,)
        ear = kind if kind in ANSWERS else None

        def look():
            lines = self.log("out")
            is_over = not self.is_running
            while self.at[ear] < len(lines):
                k, what = json.loads(lines[self.at[ear]])
                self.at[ear] += 1
                if (
                    k in kinds
                    and (not fields or fields.items() <= what.items())
                    and (not where or where(what))
                ):
                    return [what]
            return is_over and "over"

        found = pregon.eventually(look, what=f"{kind} {fields}")
        if found == "over":
            raise pregon.Lost(f"{self.name} ended before {kind} {fields}")
        return found[0]

    def begin(self, method, *its):
        """Call a method of the client."""
        self.write(json.dumps([method, *its]) + "\n")

    def call(self, method, *its):
        """Call a method and return the answer."""
        self.begin(method, *its)
        return self.receive("answer")

    def position(self):
        return self.call("position")

    def connected(self):
        self.receive("status", phase="connected")
        return self


def follow(system, gateway, **options):
    return Follower(system, f"ws://127.0.0.1:{gateway.port}", **options)


class Package:
    """The npm package as npm packs it, installed in a folder beside the packages of these tests."""

    def __init__(self, directory):
        self.directory = directory
        done = subprocess.run(
            ["npm", "pack", "--json", "--pack-destination", directory],
            cwd=PACKAGE, check=True, capture_output=True, text=True,
        )
        # npm prints first what the script prepack prints, which is nothing
        (packed,) = json.loads(done.stdout[done.stdout.index("["):])
        self.names = {f["path"] for f in packed["files"]}
        self.path = self.file(packed["filename"])
        modules = self.file("node_modules")
        os.makedirs(os.path.join(modules, "pregon"))
        with tarfile.open(self.path) as archive:
            for member in archive.getmembers():
                member.name = member.name.removeprefix("package/")
                archive.extract(member, os.path.join(modules, "pregon"))
        for name in os.listdir(MODULES):
            if not name.startswith(".") and name != "pregon":
                os.symlink(os.path.join(MODULES, name), os.path.join(modules, name))

    def file(self, name):
        return os.path.join(self.directory, name)
