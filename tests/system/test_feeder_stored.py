"""A feeder reports how many of the received lines the broker has stored."""

import re

import msgpack
import pytest
import zmq

import pregon
from fake_broker import HEARTBEAT, QUOTE, FakeBroker


class Receiver(FakeBroker):
    """A broker that grants every feed and acknowledges every line; a test sets `stored`."""

    def __init__(self, system):
        self.stored = None  # None: the broker has no store; else the last stored line
        self.received = 0
        self.ingest = self._bind(system.context, zmq.SUB)
        self.ingest.subscribe(b"")
        super().__init__(system)
        self.settings["broker_ingest"] = self.ingest.last_endpoint.decode()

    def close(self):
        super().close()
        self.ingest.close()

    def heartbeat(self):
        """Called in every turn of a few hundredths of a second: see HEARTBEAT_EVERY."""
        while self.ingest.poll(0):
            kind, epoch, line, *_ = msgpack.unpackb(self.ingest.recv_multipart()[1])
            assert kind in (QUOTE, HEARTBEAT)
            if kind == QUOTE:
                self.received = max(self.received, line)
            told = {"op": "received", "epoch": epoch, "line": self.received}
            if self.stored is not None:
                told["stored"] = self.stored
            self.send_to_gateways(msgpack.packb(told))

    HEARTBEAT_EVERY = 0.02

    def answer_hello(self, question):
        return {"version": 1, "epoch": 7, "received": self.received, "lease_ms": 2000}

    def answer_goodbye(self, question):
        return {}


def feeding(system, broker, lines=5):
    feeder = system.feeder(broker, "-", feed="test")
    for n in range(lines):
        feeder.write('{"symbol":"X","last":"%d"}\n' % n)
    pregon.eventually(lambda: broker.received, lambda n: n == lines, "the lines")
    return feeder


def totals(feeder):
    """The numbers in the feeder's last log line, by their names."""
    feeder.wait_for_exit(0)
    (text,) = [t for t in feeder.log("err") if re.search(r"feed test: \d+ lines", t)]
    return {name: int(n) for n, name in re.findall(r"(\d+) (lines|received|lost|stored)", text)}


@pytest.mark.parametrize("stored", [0, 3, 5, 999])
def test_a_feeder_that_ends_logs_the_stored_lines_and_does_not_wait_for_the_rest(system, stored):
    broker = Receiver(system)
    broker.stored = stored
    feeder = feeding(system, broker)
    feeder.end_of_input()
    assert totals(feeder) == {"lines": 5, "received": 5, "lost": 0, "stored": min(stored, 5)}
    assert not feeder.logged("^WARNING")


def test_the_feeder_reports_no_stored_lines_for_a_broker_without_a_store(system):
    broker = Receiver(system)
    feeder = feeding(system, broker)
    feeder.end_of_input()
    assert totals(feeder) == {"lines": 5, "received": 5, "lost": 0}


def test_the_feeder_warns_once_when_the_store_falls_behind_and_logs_the_end(system):
    broker = Receiver(system)
    broker.stored = 2
    feeder = feeding(system, broker)
    late = feeder.wait_for_log("^WARNING: +received but not stored for 10 s: lines 3 to 5;",
                               patience=30)
    assert late
    broker.stored = 5
    feeder.wait_for_log("^INFO: .*store has caught up: stored up to line 5 of 5$")
    feeder.end_of_input()
    assert totals(feeder)["stored"] == 5
    assert len(feeder.logged("received but not stored")) == 1


def test_the_feeder_understands_received_of_the_real_broker(system):
    broker = system.broker(store="sqlite:" + system.path("pregon.db"))
    feeder = system.feeder(broker, "-", feed="test")
    feeder.write('{"symbol":"X","last":"1"}\n' * 3)
    status = system.control(broker)
    pregon.eventually(
        lambda: status.request("status")["feeds"][0]["stored"], lambda n: n == 3, "stored"
    )
    feeder.end_of_input()
    told = totals(feeder)
    assert (told["received"], told["lost"]) == (3, 0)
    assert 0 <= told["stored"] <= 3  # the last stored line that the broker reported
