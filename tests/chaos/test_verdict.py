"""The verdict finds the fault in invented histories that have exactly one."""

import pytest

from history import HEARTBEAT, LOST, QUOTE, SNAPSHOT, Connection, History, Loss
from verdict import events_around, judge


class Tale:
    """A log of quotes X n=1…, at positions 1…, and clients that hear it."""

    def __init__(self, count=6):
        self.h = History()
        self.x = self.h.symbol("X")
        self.h.epoch("e")
        self.life = self.h.life("feed")
        self.life.base = 0
        for n in range(1, count + 1):
            self.life.add(self.x, n)
        self.life.kept = count
        self.h.finals[self.x] = count
        self.count = count
        self.client("reference").hears(*range(1, count + 1))

    def client(self, name="client", mode="all"):
        return Listener(self, name, mode)

    def faults(self):
        found = judge(self.h)
        for faults in found.values():
            for fault in faults:
                assert events_around(self.h, fault)
        return {rule for rule, faults in found.items() if faults}


class Listener:
    def __init__(self, tale, name, mode):
        self.tale = tale
        self.hearing = tale.h.hearing(name, mode, ["X"])
        self.at = 0.0
        self.connects(None, 0)

    def connects(self, since, ack, recovered=None):
        number = len(self.hearing.connections)
        self.hearing.connections.append(Connection(
            number, "gw", "url", since=since, opened=self.at, acked=self.at, ack=ack,
            recovered=recovered))
        return self

    def hears(self, *quotes, kind=QUOTE):
        """Each is a number, or (position, n)."""
        for q in quotes:
            where, n = q if isinstance(q, tuple) else (q, q)
            self.at += 0.1
            self.hearing.add(kind, where, self.tale.x, n, self.at)
        return self

    def is_told(self, feed, first, last, where):
        self.at += 0.1
        self.hearing.losses[len(self.hearing)] = Loss(feed, first, last, "gap")
        self.hearing.add(LOST, where, 0, 0, self.at)
        return self


def test_a_history_without_faults_is_found_without_faults():
    tale = Tale()
    tale.client().hears(1, 2, 3).connects(3, 6, True).hears(4, 5, 6)
    tale.client("merge", "merge").hears(2, 5).connects(2, 6, True).hears(6)
    tale.client("late").hears().connects(None, 4).hears(4, kind=SNAPSHOT).hears(5, 6)
    assert tale.faults() == set()


@pytest.mark.parametrize("quotes, rule", [
    ((1, 2, 4, 5, 6), "hole"),
    ((1, 2, 3, 4, 5), "hole"),
    ((1, 2, 2, 3, 4, 5, 6), "twice"),
    ((1, 3, 2, 4, 5, 6), "rising"),
    ((1, 2, (3, 4), 4, 5, 6), "unique"),
    ((1, 2, 3, 4, 5, 6, (7, 3)), "unique"),
])
def test_what_is_wrong_on_one_connection_is_found(quotes, rule):
    tale = Tale()
    tale.client().hears(*quotes)
    assert rule in tale.faults()


def test_a_hole_between_two_connections_is_found():
    tale = Tale()
    tale.client().hears(1, 2).connects(2, 6, True).hears(4, 5, 6)
    assert tale.faults() == {"hole"}


def test_a_quote_that_comes_again_on_the_next_connection_is_found():
    tale = Tale()
    tale.client().hears(1, 2, 3).connects(3, 6, True).hears(3, 4, 5, 6)
    assert tale.faults() == {"twice"}


@pytest.mark.parametrize("first, last, faults", [(3, 4, set()), (3, 3, {"hole"}),
                                                 (4, 4, {"hole"}), (1, 6, set())])
def test_a_range_that_was_reported_is_no_hole_and_no_more_than_that(first, last, faults):
    tale = Tale()
    tale.client().hears(1, 2).is_told("", first, last, last).hears(5, 6)
    assert tale.faults() == faults


def test_a_snapshot_in_the_middle_of_a_connection_excuses_nothing():
    tale = Tale()
    tale.client().hears(1, 2).hears(4, kind=SNAPSHOT).hears(5, 6)
    assert tale.faults() == {"hole"}


def test_a_snapshot_after_a_resumption_excuses_nothing():
    tale = Tale()
    tale.client().hears(1, 2).connects(2, 6, True).hears(4, kind=SNAPSHOT).hears(5, 6)
    assert tale.faults() == {"hole"}


def test_a_position_that_is_kept_and_not_recovered_is_found():
    tale = Tale()
    tale.h.kept_from = [(0.0, 1), (50.0, 1)]
    tale.client().hears(1, 2).connects(2, 4, False).hears(4, kind=SNAPSHOT).hears(5, 6)
    assert tale.faults() == {"resume"}


def test_a_position_that_is_no_longer_kept_need_not_be_recovered():
    tale = Tale()
    tale.h.kept_from = [(0.0, 1), (0.25, 4)]
    tale.client().hears(1, 2).connects(2, 4, False).hears(4, kind=SNAPSHOT).hears(5, 6)
    assert tale.faults() == set()


def test_an_ack_that_does_not_say_whether_it_recovered_is_found():
    tale = Tale()
    tale.client().hears(1, 2).connects(2, 6, None).hears(6, kind=SNAPSHOT)
    assert tale.faults() == {"resume"}


def test_a_quote_that_was_received_and_nobody_ever_saw_is_found():
    tale = Tale()
    tale.life.add(tale.x, 7)
    assert tale.faults() == set()  # it may have been under way when its feeder was killed
    tale.life.kept = 7
    assert tale.faults() == {"taken"}


def test_a_hole_in_what_a_killed_feeder_sent_is_found():
    tale = Tale(count=0)
    for n in (1, 2, 3):
        tale.life.add(tale.x, n)
    tale.h.hearings[0].add(QUOTE, 1, tale.x, 1, 0.0)
    tale.h.hearings[0].add(QUOTE, 2, tale.x, 3, 0.0)
    assert tale.faults() == {"taken"}


@pytest.mark.parametrize("feed, first, last, faults", [("feed", 2, 3, set()),
                                                       ("feed", 2, 2, {"taken"}),
                                                       ("other", 2, 3, {"taken"})])
def test_lines_a_feeder_names_as_lost_are_no_fault(feed, first, last, faults):
    tale = Tale(count=0)
    for n in (1, 2, 3, 4):
        tale.life.add(tale.x, n)
    tale.life.kept = 4
    tale.h.finals[tale.x] = 4
    (reference,) = tale.h.hearings
    reference.add(QUOTE, 1, tale.x, 1, 0.0)
    reference.losses[1] = Loss(feed, first, last, "ring_overflow")
    reference.add(LOST, 2, 0, 0, 0.0)
    reference.add(QUOTE, 3, tale.x, 4, 0.0)
    assert tale.faults() == faults


def test_a_client_that_never_received_a_loss_of_lines_is_found():
    tale = Tale(count=0)
    for n in (1, 2):
        tale.life.add(tale.x, n)
    tale.life.kept = 2
    (reference,) = tale.h.hearings
    reference.losses[0] = Loss("feed", 1, 1, "ring_overflow")
    reference.add(LOST, 1, 0, 0, 0.0)
    reference.add(QUOTE, 2, tale.x, 2, 0.0)
    tale.client().hears((2, 2))
    assert tale.faults() == {"hole"}


@pytest.mark.parametrize("snapshot, quotes, faults", [
    ((2, 2), [(4, 3), (5, 4)], set()),  # it may have joined after the loss
    ((1, 1), [(2, 2), (4, 3), (5, 4)], {"hole"}),  # it had joined before
])
def test_a_loss_must_be_reported_from_the_first_record_on_however_low_the_ack(
    snapshot, quotes, faults
):
    tale = Tale(count=0)
    for n in (1, 2, 99, 3, 4):  # 99 is lost: line 3, told at position 3
        tale.life.add(tale.x, n)
    (reference,) = tale.h.hearings
    reference.losses[2] = Loss("feed", 3, 3, "ring_overflow")
    for kind, where, n in ((QUOTE, 1, 1), (QUOTE, 2, 2), (LOST, 3, 0), (QUOTE, 4, 3),
                           (QUOTE, 5, 4)):
        reference.add(kind, where, tale.x, n, 0.0)
    tale.client().hears(snapshot, kind=SNAPSHOT).hears(*quotes)
    assert tale.faults() == faults


def test_two_epochs_are_found():
    tale = Tale()
    tale.h.epoch("another")
    assert tale.faults() == {"epoch"}


def test_quotes_whose_positions_are_in_another_order_are_found():
    tale = Tale(count=0)
    for n in (1, 2):
        tale.life.add(tale.x, n)
    tale.h.hearings[0].add(QUOTE, 1, tale.x, 2, 0.0)
    tale.h.hearings[0].add(QUOTE, 2, tale.x, 1, 0.1)
    assert tale.faults() == {"order"}


def test_in_merge_an_old_value_at_the_end_is_found():
    tale = Tale()
    tale.client("merge", "merge").hears(2, 5)
    assert tale.faults() == {"newest"}


def test_in_merge_a_value_that_goes_back_is_found():
    tale = Tale()
    tale.client("merge", "merge").hears(3, 2, 6)
    assert tale.faults() == {"back"}


def test_heartbeats_prove_nothing():
    tale = Tale()
    tale.client().hears(1, 2, 3).hears(6, kind=HEARTBEAT).connects(6, 6, True)
    assert tale.faults() == {"hole"}
