"""Run a client of the examples or of the README as a separate process."""

import os
import shutil
import subprocess

import pregon
from sieve import Sieve


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


def follow_through_everything(system, command, name, code):
    """Snapshot, quote, a gateway that restarts, staleness."""
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("DAX", bid="1.0842", ask="1.0843")
    feed.quote("GOLD", last="2411.10")
    feed.wait_processed()
    client = Client(system, gateway, command, name, code)
    client.wait_for_log(r"^DAX 1\.0842 / 1\.0843 live$")
    feed.quote("USD/THB", last="24.90")
    client.wait_for_log(r"^USD/THB 24\.90 live$")
    gateway.stop()
    feed.quote("USD/THB", last="24.95")
    feed.wait_processed()
    gateway.start()
    client.wait_for_log(r"^USD/THB 24\.95 live$")
    feed.goodbye()
    client.wait_for_log(r"^DAX (1\.0842 / 1\.0843 )?stale$")
    assert not client.logged("GOLD")
    client.kill()


def asking(code, name, value):
    """The client with one more option."""
    for there, more in (
        ('symbols: ["DAX", "USD*"],', f' {name}: "{value}",'),
        ('symbols=["DAX", "USD*"],', f' {name}="{value}",'),
    ):
        if code.count(there) == 1:
            return code.replace(there, there + more)
    raise AssertionError("it does not name its symbols")


def lose_nothing_in_mode_all(system, command, name, code):
    """The client gets every quote once and in order while gateways are killed and restarted."""
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = Client(system, gateway, command, name, asking(code, "mode", "all"))

    def call(first, last):
        for n in range(first, last + 1):
            feed.quote("USD/THB", last=str(n))
        feed.wait_processed()

    call(1, 1)
    client.wait_for_log(r"^USD/THB 1 live$")
    call(2, 10)
    client.wait_for_log(r"^USD/THB 10 live$")
    for end, last in (("kill", 20), ("stop", 30)):
        getattr(gateway, end)()
        call(last - 9, last)
        gateway.start()
        client.wait_for_log(rf"^USD/THB {last} live$")
    told = [int(m[1]) for m in client.logged(r"^USD/THB (\d+) live$")]
    assert told == list(range(1, 31))
    client.kill()


def fetch_what_is_missing(system, command, name, code):
    """The client reconnects to get a record that a bad network dropped."""
    broker, gateway = system.start()
    feed = system.feed(broker)
    sieve = system.add(Sieve(gateway))
    code = asking(code, "mode", "all").replace("127.0.0.1:8000", sieve.url.removeprefix("ws://"))
    client = Client(system, gateway, command, name, code)

    def call(first, last):
        for n in range(first, last + 1):
            feed.quote("DAX", last=str(n))
        feed.wait_processed()

    call(1, 1)
    client.wait_for_log("^DAX 1 live$")
    sieve.swallow(b'"last":"3"', times=1)
    call(2, 5)
    client.wait_for_log("^DAX 5 live$")
    assert [int(m[1]) for m in client.logged(r"^DAX (\d+) live$")] == [1, 2, 3, 4, 5]
    client.kill()
