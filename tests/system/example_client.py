"""Run a client of the examples or of the README as a separate process."""

import os
import shutil
import subprocess

import pregon


def example(name):
    with open(os.path.join(pregon.ROOT, "consumer", "examples", name), encoding="utf-8") as f:
        return f.read()


def node_command():
    """A Node version that has WebSocket built in, or None."""
    node = shutil.which("node")
    for flags in ([], ["--experimental-websocket"]) if node else ():
        probe = subprocess.run(
            [node, *flags, "-e", "process.exit(typeof WebSocket === 'function' ? 0 : 1)"],
            stderr=subprocess.DEVNULL,
        )
        if probe.returncode == 0:
            return [node, *flags]
    return None


class Client(pregon.Process):
    """An example client as a separate process."""

    def __init__(self, system, gateway, command, name, code):
        code = code.replace("127.0.0.1:8000", "127.0.0.1:%d" % gateway.port)
        for relative in ("./consumer/js/", "../js/"):
            code = code.replace(relative, os.path.join(pregon.ROOT, "consumer", "js", ""))
        path = system.path(name, code)
        super().__init__(name, name, {}, cwd=system.directory.name, command=[*command, path])
        system.processes.append(self)
        self.start(wait=False)
