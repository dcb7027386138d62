"""The check of histories finds the one fault of each invented history."""

import pytest

from history import HEARTBEAT, LOST, QUOTE, SNAPSHOT, Connection, History, Loss
from history_check import events_around, check


class Scenario:
    """An invented history: quotes of X, n = 1… at positions 1…, and the clients that got them."""

    def __init__(self, count=6):
        self.history = History()
        self.x = self.history.symbol("X")
        self.history.epoch("e")
        self.lifetime = self.history.lifetime("feed")
        self.lifetime.base = 0
        for n in range(1, count + 1):
            self.lifetime.add(self.x, n)
        self.lifetime.kept = count
        self.history.finals[self.x] = count
        self.count = count
        self.client("reference").receives(*range(1, count + 1))

    def client(self, name="client", mode="all"):
        return ScenarioClient(self, name, mode)

    def faults(self):
        found = check(self.history)
        for faults in found.values():
            for fault in faults:
                assert events_around(self.history, fault)
        return {rule for rule, faults in found.items() if faults}


class ScenarioClient:
    def __init__(self, scenario, name, mode):
        self.scenario = scenario
        self.client = scenario.history.client(name, mode, ["X"])
        self.at = 0.0
        self.connects(None, 0)

    def connects(self, since, ack, recovered=None):
        number = len(self.client.connections)
        self.client.connections.append(Connection(
            number, "gw", "url", since=since, opened=self.at, acked=self.at, ack=ack,
            recovered=recovered))
        return self

    def receives(self, *quotes, kind=QUOTE):
        """Each is a number, or (position, n)."""
        for q in quotes:
            where, n = q if isinstance(q, tuple) else (q, q)
            self.at += 0.1
            self.client.add(kind, where, self.scenario.x, n, self.at)
        return self

    def receives_loss(self, feed, first, last, where):
        self.at += 0.1
        self.client.losses[len(self.client)] = Loss(feed, first, last, "gap")
        self.client.add(LOST, where, 0, 0, self.at)
        return self


def test_a_history_without_faults_is_found_without_faults():
    scenario = Scenario()
    scenario.client().receives(1, 2, 3).connects(3, 6, True).receives(4, 5, 6)
    scenario.client("merge", "merge").receives(2, 5).connects(2, 6, True).receives(6)
    scenario.client("late").receives().connects(None, 4).receives(4, kind=SNAPSHOT).receives(5, 6)
    assert scenario.faults() == set()


@pytest.mark.parametrize("quotes, rule", [
    ((1, 2, 4, 5, 6), "hole"),
    ((1, 2, 3, 4, 5), "hole"),
    ((1, 2, 2, 3, 4, 5, 6), "twice"),
    ((1, 3, 2, 4, 5, 6), "rising"),
    ((1, 2, (3, 4), 4, 5, 6), "unique"),
    ((1, 2, 3, 4, 5, 6, (7, 3)), "unique"),
])
def test_a_fault_on_one_connection_is_found(quotes, rule):
    scenario = Scenario()
    scenario.client().receives(*quotes)
    assert rule in scenario.faults()


def test_a_hole_between_two_connections_is_found():
    scenario = Scenario()
    scenario.client().receives(1, 2).connects(2, 6, True).receives(4, 5, 6)
    assert scenario.faults() == {"hole"}


def test_a_quote_that_comes_again_on_the_next_connection_is_found():
    scenario = Scenario()
    scenario.client().receives(1, 2, 3).connects(3, 6, True).receives(3, 4, 5, 6)
    assert scenario.faults() == {"twice"}


@pytest.mark.parametrize("first, last, faults", [(3, 4, set()), (3, 3, {"hole"}),
                                                 (4, 4, {"hole"}), (1, 6, set())])
def test_a_range_that_was_reported_is_no_hole_and_no_more_than_that(first, last, faults):
    scenario = Scenario()
    scenario.client().receives(1, 2).receives_loss("", first, last, last).receives(5, 6)
    assert scenario.faults() == faults


def test_a_snapshot_in_the_middle_of_a_connection_excuses_nothing():
    scenario = Scenario()
    scenario.client().receives(1, 2).receives(4, kind=SNAPSHOT).receives(5, 6)
    assert scenario.faults() == {"hole"}


def test_a_snapshot_after_a_resumption_excuses_nothing():
    scenario = Scenario()
    scenario.client().receives(1, 2).connects(2, 6, True).receives(4, kind=SNAPSHOT).receives(5, 6)
    assert scenario.faults() == {"hole"}


def test_a_position_that_is_kept_and_not_recovered_is_found():
    scenario = Scenario()
    scenario.history.oldest_stored = [(0.0, 1), (50.0, 1)]
    scenario.client().receives(1, 2).connects(2, 4, False).receives(4, kind=SNAPSHOT).receives(5, 6)
    assert scenario.faults() == {"resume"}


def test_a_position_that_is_no_longer_kept_need_not_be_recovered():
    scenario = Scenario()
    scenario.history.oldest_stored = [(0.0, 1), (0.25, 4)]
    scenario.client().receives(1, 2).connects(2, 4, False).receives(4, kind=SNAPSHOT).receives(5, 6)
    assert scenario.faults() == set()


def test_an_ack_without_recovered_is_found():
    scenario = Scenario()
    scenario.client().receives(1, 2).connects(2, 6, None).receives(6, kind=SNAPSHOT)
    assert scenario.faults() == {"resume"}


def test_the_check_finds_a_received_quote_that_no_client_got():
    scenario = Scenario()
    scenario.lifetime.add(scenario.x, 7)
    assert scenario.faults() == set()  # the feeder may have been killed before it sent this quote
    scenario.lifetime.kept = 7
    assert scenario.faults() == {"logged"}


def test_a_hole_in_what_a_killed_feeder_sent_is_found():
    scenario = Scenario(count=0)
    for n in (1, 2, 3):
        scenario.lifetime.add(scenario.x, n)
    scenario.history.clients[0].add(QUOTE, 1, scenario.x, 1, 0.0)
    scenario.history.clients[0].add(QUOTE, 2, scenario.x, 3, 0.0)
    assert scenario.faults() == {"logged"}


@pytest.mark.parametrize("feed, first, last, faults", [("feed", 2, 3, set()),
                                                       ("feed", 2, 2, {"logged"}),
                                                       ("other", 2, 3, {"logged"})])
def test_lines_a_feeder_names_as_lost_are_no_fault(feed, first, last, faults):
    scenario = Scenario(count=0)
    for n in (1, 2, 3, 4):
        scenario.lifetime.add(scenario.x, n)
    scenario.lifetime.kept = 4
    scenario.history.finals[scenario.x] = 4
    (reference,) = scenario.history.clients
    reference.add(QUOTE, 1, scenario.x, 1, 0.0)
    reference.losses[1] = Loss(feed, first, last, "ring_overflow")
    reference.add(LOST, 2, 0, 0, 0.0)
    reference.add(QUOTE, 3, scenario.x, 4, 0.0)
    assert scenario.faults() == faults


def test_a_client_that_never_received_a_loss_of_lines_is_found():
    scenario = Scenario(count=0)
    for n in (1, 2):
        scenario.lifetime.add(scenario.x, n)
    scenario.lifetime.kept = 2
    (reference,) = scenario.history.clients
    reference.losses[0] = Loss("feed", 1, 1, "ring_overflow")
    reference.add(LOST, 1, 0, 0, 0.0)
    reference.add(QUOTE, 2, scenario.x, 2, 0.0)
    scenario.client().receives((2, 2))
    assert scenario.faults() == {"hole"}


@pytest.mark.parametrize("snapshot, quotes, faults", [
    ((2, 2), [(4, 3), (5, 4)], set()),  # the client may have joined after the loss
    ((1, 1), [(2, 2), (4, 3), (5, 4)], {"hole"}),  # the client had joined before the loss
])
def test_a_loss_must_be_reported_from_the_first_record_on_however_low_the_ack(
    snapshot, quotes, faults
):
    scenario = Scenario(count=0)
    for n in (1, 2, 99, 3, 4):  # n=99 is lost: it is line 3, and position 3 reports the loss
        scenario.lifetime.add(scenario.x, n)
    (reference,) = scenario.history.clients
    reference.losses[2] = Loss("feed", 3, 3, "ring_overflow")
    for kind, where, n in ((QUOTE, 1, 1), (QUOTE, 2, 2), (LOST, 3, 0), (QUOTE, 4, 3),
                           (QUOTE, 5, 4)):
        reference.add(kind, where, scenario.x, n, 0.0)
    scenario.client().receives(snapshot, kind=SNAPSHOT).receives(*quotes)
    assert scenario.faults() == faults


def test_two_epochs_are_found():
    scenario = Scenario()
    scenario.history.epoch("another")
    assert scenario.faults() == {"epoch"}


def test_quotes_whose_positions_are_in_another_order_are_found():
    scenario = Scenario(count=0)
    for n in (1, 2):
        scenario.lifetime.add(scenario.x, n)
    scenario.history.clients[0].add(QUOTE, 1, scenario.x, 2, 0.0)
    scenario.history.clients[0].add(QUOTE, 2, scenario.x, 1, 0.1)
    assert scenario.faults() == {"order"}


def test_in_merge_an_old_value_at_the_end_is_found():
    scenario = Scenario()
    scenario.client("merge", "merge").receives(2, 5)
    assert scenario.faults() == {"newest"}


def test_in_merge_a_value_that_goes_back_is_found():
    scenario = Scenario()
    scenario.client("merge", "merge").receives(3, 2, 6)
    assert scenario.faults() == {"back"}


def test_heartbeats_prove_nothing():
    scenario = Scenario()
    scenario.client().receives(1, 2, 3).receives(6, kind=HEARTBEAT).connects(6, 6, True)
    assert scenario.faults() == {"hole"}
