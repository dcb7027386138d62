"""The benchmark's load client counts the received quotes, and a run survives a server that
fails."""

import json
import os
import subprocess
import sys

import pytest

import pregon

BENCH = os.path.join(pregon.ROOT, "tests", "bench")
sys.path.insert(0, BENCH)

import peers  # noqa: E402
import servers  # noqa: E402

CLIENTS = 20
# For every protocol of the load client there is a server here.
SPEAKERS = ["floor B", "floor A", "hops", "nats", "mosquitto", "nchan", "node ws", "uvicorn"]


@pytest.fixture(scope="module", autouse=True)
def looked_for():
    peers.look()


def published(name, count, *injected):
    """The result of the load client for `count` quotes, after lines that it did not write."""
    with servers.start(name) as (server, load):
        load.connect(CLIENTS)
        if not injected:  # until then subscriptions may be on their way
            pregon.eventually(
                lambda: load.publish(1000, 0.001)["delivered"], lambda n: n == CLIENTS
            )
        for line in injected:
            os.write(server.feed, line.encode() + b"\n")
        return load.publish(1000, count / 1000)


@pytest.mark.parametrize("name", SPEAKERS)
def test_everything_is_counted(name):
    if servers.SERVERS[name].missing:
        pytest.skip(f"not installed: {servers.SERVERS[name].missing}")
    a = published(name, 50)
    assert a["is_whole"] and a["delivered"] == a["expected"] == 50 * CLIENTS
    assert 110 < a["bytes"] <= 120 and 0 < a["p50_us"] <= a["p99_us"] and a["cpu_us"] > 0


def quote(n, symbol="S00000"):
    return f'{{"type":"quote","symbol":"{symbol}","timestamp":1,"n":{n}}}'


@pytest.mark.parametrize("what,lines", [
    ("missed", [quote(1), quote(5)]),
    ("backward", [quote(9), quote(3)]),
    ("errors", ['{"type":"quote","symbol":"S00000","timestamp":1}']),
])
def test_faults_of_a_server_are_counted_and_the_run_is_incomplete(what, lines):
    a = published("floor B", 20, *lines)
    assert a[what] >= CLIENTS and not a["is_whole"]


def bench(*words, path=None):
    out = subprocess.run(
        ["/usr/bin/python3", os.path.join(BENCH, "bench.py"), "--quick", "--works", "W1", *words],
        capture_output=True, text=True, check=False, timeout=pregon.PATIENCE * 4,
        env={**os.environ, "PREGON_BIN": pregon.BIN, **({"PATH": path} if path else {})})
    return out.returncode, out.stdout


def test_a_server_that_fails_costs_only_its_own_figures(tmp_path):
    broken = tmp_path / "nats-server"
    broken.write_text("#!/bin/sh\necho no such setting >&2\nexit 1\n")
    broken.chmod(0o755)
    figures = tmp_path / "figures.jsonl"
    status, told = bench(
        "--servers", "nats,floor B", "--json", str(figures), path=f"{tmp_path}:{os.environ['PATH']}"
    )
    assert status == 0, told
    assert "W1 nats failed" in told and "no such setting" in told
    lines = [json.loads(line) for line in figures.read_text().splitlines()]
    assert {one["server"] for one in lines} == {"floor B"}
    assert {one["measure"] for one in lines} >= {"processor per delivery, 50/s", "p99, 50/s"}
    assert all(one["commit"] and one["machine"] for one in lines)


def test_a_peer_that_is_not_installed_is_named_with_its_package(tmp_path):
    status, told = bench("--servers", "nats", path=str(tmp_path))
    assert status == 0 and "apt-get install nats-server" in told
