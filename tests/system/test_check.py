"""`--check` asks a running program whether it is ready, for container checks and people."""

import os
import re
import signal
import subprocess

import pregon


def state(process):
    """The state of this process; other programs of that name may run on the machine."""
    out = subprocess.run(
        [os.path.join(pregon.BIN, "pregon-" + process.program), "--check"],
        stdout=subprocess.PIPE, check=False, timeout=60, text=True,
    ).stdout
    found = re.search(rf"^pregon-{process.program} {process.pid}: (.*)$", out, re.M)
    return found[1] if found else None


def test_a_broker_a_gateway_and_a_feeder_that_are_ready_say_so(system):
    broker, gateway = system.start()
    feeder = system.feeder(broker, "-")
    pregon.eventually(lambda: state(gateway), lambda s: s == "ready")
    assert state(broker) == "ready"
    assert state(feeder) == "ready"


def test_the_check_of_a_gateway_has_the_same_result_as_its_ready_route(system):
    gateway = system.gateway(drain_delay=600)
    assert gateway.get("/cotizaciones/ready").code == state(gateway) == "starting"
    gateway.signal(signal.SIGTERM)
    gateway.wait_for_log("Not ready any more")
    assert gateway.get("/cotizaciones/ready").code == state(gateway) == "draining"
    gateway.signal(signal.SIGTERM)
    gateway.wait_for_exit(1)


def test_a_feeder_that_stands_by_is_ready_to_be_one(system):
    broker = system.broker()
    system.feeder(broker, "-", feed="x")
    second = system.feeder(broker, "-", feed="x", wait=False)
    second.wait_for_log("standing by")
    assert state(second) == "ready"


def test_a_feeder_without_a_broker_is_not_ready_and_stays_ready_when_the_broker_goes(system):
    broker = system.broker()
    broker.stop()
    feeder = system.feeder(broker, "-", wait=False)
    feeder.wait_for_log("requesting feed")
    assert state(feeder) == "has not reached its broker yet"
    broker.start()
    feeder.wait_ready()
    assert state(feeder) == "ready"
    broker.stop()
    assert state(feeder) == "ready", "restarting the feeder would not bring the broker back"
    broker.start()


def test_one_that_stands_still_does_not_answer(system):
    broker = system.broker()
    broker.signal(signal.SIGSTOP)
    assert state(broker) == "does not answer"
    broker.signal(signal.SIGCONT)
    pregon.eventually(lambda: state(broker), lambda s: s == "ready")


def test_one_that_was_killed_is_not_there(system):
    broker = system.broker()
    broker.kill()
    assert state(broker) is None
