"""`make run`: one command starts three programs and ends them together."""

import importlib.util
import os
import re
import signal
import socket
import sys

import pytest

import pregon

RUN = os.path.join(pregon.ROOT, "tools", "run.py")
ANYWHERE = {"PORT": "0", **{f"BROKER_{key}": "tcp://127.0.0.1:0"
                            for key in ("INGEST", "PUBLISH", "CONTROL")}}
NAMES = ("broker", "feeder", "gateway")


def run_module():
    spec = importlib.util.spec_from_file_location("run", RUN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Run(pregon.Process):
    """tools/run.py; its ready line is the address it prints."""

    def __init__(self, system, **env):
        super().__init__("run", "run", {}, cwd=system.directory.name, env={**ANYWHERE, **env},
                         command=[sys.executable, RUN, "--bin", pregon.BIN])
        system.processes.append(self)
        self.start(wait=False)

    def up(self, after=0):
        found = self.wait_for_log(r"run +\|\s+quote board\s+(http://127\.0\.0\.1:\d+)/",
                                  after=after)
        self.ready = {"http": found[1]}
        return self

    def children(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as f:
            return [int(pid) for pid in f.read().split()]

    def child(self, name):
        for pid in self.children():
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f.read().split(b"\0")[0].endswith(b"pregon-" + name.encode()):
                    return pid
        raise pregon.Lost(f"no {name}")


def is_there(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids):
    pregon.eventually(lambda: [p for p in pids if is_there(p)], lambda left: not left,
                      "the end of every process")


def test_one_command_makes_recorded_quotes_flow_and_a_signal_ends_all_of_it(system):
    run = Run(system, SPEED="10").up()
    for what in ("quote board +http://", "stream +ws://127", "health +http://"):
        run.wait_for_log(rf"^run +\|  +{what}", stream="out")
    for name in NAMES:
        run.wait_for_log(rf"^{name} +\| ready ")
    client = system.client(run)
    for _ in range(10):
        client.receive(("quote", "snapshot"), source="recorded data")
    health = pregon.eventually(lambda: run.get("/cotizaciones/health"), lambda a: a.status == 200)
    assert [f["name"] for f in health.json()["feeds"]] == ["recorded"]
    pids = run.children()
    assert len(pids) == 3

    run.signal(signal.SIGINT)

    client.receive("going_away")
    run.wait_for_exit(0)
    gone(pids)
    for name in NAMES:
        assert run.logged(rf"^run +\| {name} stopped \(exit code 0\)$")


def test_a_killed_program_is_restarted_at_the_same_address(system):
    run = Run(system, SPEED="10").up()
    client = system.client(run)
    client.receive(("quote", "snapshot"))
    for name in ("broker", "feeder", "gateway"):
        here, pid = run.log_position(), run.child(name)
        os.kill(pid, signal.SIGKILL)
        run.wait_for_log(rf"^run +\| {name} died \(SIGKILL\); again in \d\.\d s$", after=here)
        run.wait_for_log(rf"^{name} +\| ready ", after=here)
        assert run.child(name) != pid
        if name == "gateway":
            assert client.wait_closed()[0] == 1006
            client = pregon.eventually(lambda: try_client(system, run))
        elif name == "broker":
            assert not client.received("reset")  # its log is in a file
        client.receive("quote", where=lambda m: m["source"] == "recorded data")
    run.stop()


def try_client(system, run):
    try:
        return system.client(run)
    except Exception:  # the gateway does not listen yet, or is not ready
        return None


def test_the_programs_do_not_outlive_one_that_is_killed_itself(system):
    run = Run(system).up()
    pids = run.children()
    run.kill()
    gone(pids)


@pytest.mark.parametrize("env, name", [({"PORT": "70000"}, "PORT"),
                                       ({"JOURNAL_BYTES": "few"}, "JOURNAL_BYTES"),
                                       ({"LOG_LEVEL": "loud"}, "LOG_LEVEL")])
def test_wrong_settings_stop_all_and_are_named(system, env, name):
    run = Run(system, **env)
    run.wait_for_exit(2)
    assert any(name in text for text in run.log("out")), run.log()
    assert run.logged(r"^run +\| \w+ says its settings are wrong; stopping$")


def test_a_taken_port_stops_all_and_names_the_command_to_type(system):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        run = Run(system, PORT=str(port))
        run.wait_for_exit(2)
        assert run.logged(rf"^gateway +\| CRITICAL: another program listens on 127.0.0.1:{port}:")
        assert run.logged(r"^run +\| gateway died before it was ready \(exit code 2\); stopping$")
        assert run.logged(r"^run +\| for instance: PORT=8010 make run$")
        run = Run(system, BROKER_PUBLISH=f"tcp://127.0.0.1:{port}")
        run.wait_for_exit(2)
        assert run.logged(r"^run +\| free ones: BROKER_INGEST=tcp://127.0.0.1:0 .* make run$")


def test_a_program_that_ends_before_it_was_ever_ready_is_not_started_again(system):
    directory = system.path("no-store")
    os.makedirs(directory)
    run = Run(system, STORE="sqlite:" + directory)  # a directory is no store
    run.wait_for_exit(1)
    assert run.logged(r"^run +\| broker died before it was ready \(exit code 1\); stopping$")
    assert not run.logged(r"again in")


def test_a_program_that_ends_with_code_0_is_reported_and_restarted(system):
    run = Run(system).up()
    here = run.log_position()
    os.kill(run.child("gateway"), signal.SIGTERM)
    run.wait_for_log(r"^run +\| gateway ended \(exit code 0\); again in \d\.\d s$", after=here)
    run.wait_for_log(r"^gateway +\| ready ", after=here)
    run.stop()


def test_a_program_that_ran_for_a_while_is_back_in_under_a_second_however_often_it_dies():
    program = run_module().Program("broker", "/bin/false")
    for n in range(100):
        program.started_at = 10.0 * n
        assert program.die(now=program.started_at + 2.5) < 0.5


def test_a_program_that_keeps_ending_at_once_is_restarted_with_growing_bounded_delays():
    program = run_module().Program("broker", "/bin/false")
    waits = [program.die(now=0.1) for _ in range(10)]
    assert waits[0] < 0.5
    assert waits == sorted(waits) and waits[-1] == waits[-2] == pytest.approx(5.0)
    program.started_at = 0.0
    assert program.die(now=2.5) < 0.5  # it has run


def test_the_lines_of_make_run_are_complete_and_have_the_programs_name(system):
    run = Run(system).up()
    run.get("/cotizaciones/live")
    run.signal(signal.SIGTERM)
    run.wait_for_exit(0)
    for text in run.log("out"):
        assert re.match(r"(broker|feeder|gateway|run) +\| ?", text), text
    assert run.log("err") == []
