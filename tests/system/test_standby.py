"""Three feeders of one name: one publishes, two stand by. When one ends, the next one takes
over."""

import re
import signal

import pytest

import pregon
from pregon import eventually


class Trio:
    """Feeders on standard input; the price of a quote shows which feeder sent it."""

    def __init__(self, system):
        self.system = system
        self.broker = system.broker(store=f"sqlite:{system.path('pregon.db')}")
        self.gateway = system.gateway(self.broker)
        self.client = system.client(self.gateway, "?symbols=X&mode=all")
        self.client.receive("ack")
        self.feeders = [system.feeder(self.broker, "-", feed="trio", wait=i == 0) for i in range(3)]
        for feeder in self.feeders[1:]:
            feeder.wait_for_log("standing by")
        self.numbers = dict.fromkeys((f.name for f in self.feeders), 0)

    def send_quote(self, feeder):
        """Send one quote; returns its price."""
        self.numbers[feeder.name] += 1
        number = 1 + [f.name for f in self.feeders].index(feeder.name)
        price = f"{number}.{self.numbers[feeder.name]}"
        feeder.write('{"symbol":"X","last":"%s"}\n' % price)
        return price

    def check_published(self, feeder):
        self.client.receive("quote", last=self.send_quote(feeder))

    def successor(self, *but):
        """The feeder that has taken over."""
        others = [f for f in self.feeders if f not in but]
        return eventually(lambda: [f for f in others if f.is_ready],
                          what="somebody takes over")[0]

    def grants(self):
        return self.broker.logged(
            r"feed trio granted to pid (\d+) .*?(?:; it follows pid (\d+) on \S+, "
            r"which (left|was last heard) ([0-9.]+) s ago after line (\d+))?$"
        )


@pytest.fixture
def trio(system):
    return Trio(system)


def test_a_killed_feeder_has_a_successor_whose_host_and_pid_are_logged(trio):
    one = trio.feeders[0]
    for _ in range(3):
        trio.check_published(one)
    pid = one.pid
    one.kill()
    heir = trio.successor(one)
    trio.check_published(heir)
    said = heir.wait_for_log(
        r"we follow pid (\d+) on \S+, which was last heard ([0-9.]+) s ago after line (\d+)"
    )
    assert (int(said[1]), int(said[3])) == (pid, 3)
    last = trio.grants()[-1]
    assert (int(last[1]), int(last[2]), last[3], int(last[5])) == (
        heir.pid,
        pid,
        "was last heard",
        3,
    )
    # By the broker's own clock: from the last message to the grant, two heartbeats.
    assert 0.9 <= float(last[4])
    if not pregon.IS_SANITIZED:
        assert float(last[4]) == float(said[2])


def test_a_stopped_feeder_is_followed_at_once(trio):
    one = trio.feeders[0]
    trio.check_published(one)
    one.stop()
    heir = trio.successor(one)
    trio.check_published(heir)
    heir.wait_for_log(r"which left [0-9.]+ s ago after line 1")
    (row,) = trio.gateway.page("health")["feeds"]
    assert row["status"] == "live" and row["lost"] == 0


def test_a_feeder_that_was_paused_longer_than_its_lease_is_fenced_and_stands_by(trio):
    one = trio.feeders[0]
    trio.check_published(one)
    one.signal(signal.SIGSTOP)
    heir = trio.successor(one)
    trio.check_published(heir)
    here = one.log_position()
    late = trio.send_quote(one)  # the line stays in the pipe until the feeder continues
    one.signal(signal.SIGCONT)
    one.wait_for_log(
        r"stopped for [0-9.]+ s: checking with the broker whether feed trio is still ours",
        after=here,
    )
    one.wait_for_log("standing by", after=here)
    for _ in range(3):
        trio.check_published(heir)
    assert not trio.client.received("quote", last=late)
    # The feeder keeps the line that it had read, and publishes it when it has the name again.
    for other in trio.feeders[1:]:
        other.kill()
    trio.client.receive("quote", last=late)


def test_a_pause_in_which_no_other_feeder_took_the_name_costs_nothing(system):
    broker, gateway = system.start()
    client = system.client(gateway, "?symbols=X&mode=all")
    client.receive("ack")
    feeder = system.feeder(broker, "-", feed="alone")
    feeder.signal(signal.SIGSTOP)
    broker.wait_for_log("feed alone .* is silent")
    feeder.signal(signal.SIGCONT)
    feeder.wait_for_log("is still ours|, going on")  # after a long pause, or a short one
    feeder.write('{"symbol":"X","last":"1"}\n')
    client.receive("quote", last="1")
    assert not broker.logged("it follows")


def test_standby_feeders_take_over_one_after_the_other_with_rising_tokens(trio):
    ended = []
    for end in ("kill", "stop", "kill"):
        feeder = trio.successor(*ended)
        trio.check_published(feeder)
        getattr(feeder, end)()
        ended.append(feeder)
    trio.client.receive("state", symbol="X", state="stale")
    epochs = [int(m[1]) for m in trio.broker.logged(r"feed trio granted .* epoch (\d+),")]
    assert len(epochs) == 3 and epochs == sorted(set(epochs))


def test_a_broker_that_was_stopped_does_not_take_a_name_from_its_holder(trio):
    one = trio.feeders[0]
    trio.check_published(one)
    here = trio.broker.log_position()
    trio.broker.signal(signal.SIGSTOP)
    one.wait_for_log("nothing from the broker")
    trio.broker.signal(signal.SIGCONT)
    trio.check_published(one)
    assert not [t for t in trio.broker.log()[here:] if re.search("silent|follows", t)]


def test_a_killed_broker_finds_the_same_holder_again(trio):
    one = trio.feeders[0]
    trio.check_published(one)
    trio.broker.kill()
    trio.broker.start()
    trio.check_published(one)
    assert not trio.broker.logged("it follows")


def stored_broker(system):
    return system.broker(store="sqlite:" + system.path("pregon.db"))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_after_a_goodbye_the_name_is_free_for_a_broker_started_anew_on_its_store(system, end):
    broker = stored_broker(system)
    first = system.feed(broker, "main")
    first.quote("X", last="1")
    first.wait_processed().goodbye()
    broker.wait_for_log("feed main says goodbye after line 1")
    # answered after the goodbye, so the broker has recorded the goodbye
    system.control(broker).request("ping")
    here = broker.log_position()
    getattr(broker, end)()

    broker.start()

    (row,) = system.control(broker).request("status")["feeds"]
    assert (row["name"], row["live"], row["left"], row["received"]) == ("main", False, True, 1)
    gateway = system.gateway(broker)
    (row,) = gateway.page("health")["feeds"]
    assert (row["status"], row["reason"]) == ("ended", "it said goodbye: its symbols are stale")
    assert gateway.page("quotes/X")["state"] == "stale"
    second = system.feeder(broker, "-", feed="main")
    second.wait_for_log("feed main granted .*; the one before us left after line 1$")
    said = broker.log()[here:] + second.log()
    assert not [t for t in said if "is held by" in t or "is silent" in t or "pid 0" in t], said
    second.end_of_input()
    second.wait_for_exit(0)


def test_the_same_owner_loses_no_count_by_a_goodbye_and_a_broker_started_anew(system):
    broker = stored_broker(system)
    first = system.feed(broker, "main")
    for n in range(3):
        first.quote("X", last=str(n + 1))
    first.wait_processed().goodbye()
    broker.wait_for_log("feed main says goodbye after line 3")
    broker.stop()
    broker.start()
    hello = {"role": "feeder", "name": "main", "oldest": 1, "newest": 1, "acked": 1}
    answer = system.control(broker).request("hello", owner=first.owner, **hello)
    assert answer["received"] == 3 and "after" not in answer, answer


def test_the_holder_of_a_name_is_never_logged_as_pid_0_after_its_broker_was_killed(system):
    broker = stored_broker(system)
    first = system.feed(broker, "main")
    first.quote("X", last="1")
    first.wait_processed()
    broker.kill()
    first.fall_silent()
    broker.start()
    second = system.feeder(broker, "-", feed="main")  # ready: it has the name
    second.wait_for_log("feed main granted .*; the one before us fell silent after line 1$")
    broker.wait_for_log(r"feed main \(a feeder whose pid is not known\) is silent")
    said = broker.log() + second.log()
    assert not [t for t in said if re.search(r"pid 0|on ,|\(,| on $", t)], said
    second.end_of_input()
    second.wait_for_exit(0)
