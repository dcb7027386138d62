"""The check of lock histories finds the one fault of each invented history."""

import pytest

from lock_history_check import Call, History, check


class Scenario:
    """An invented history of calls. A grant lasts one second unless `ms` is given."""

    def __init__(self):
        self.history = History()

    def call(self, op, owner, at, took=0.01, answer=None, name="a", **request):
        answered = None if answer is None else at + took
        self.history.calls.append(Call(owner, op, name, at, answered, answer, request))
        return self

    def lock(self, owner, at, token, took=0.01, ms=1000, delay=0, waited=0, is_new=True, name="a"):
        return self.call("lock", owner, at, took, {
            "token": token, "expires_ms": ms, "waited_ms": waited, "is_new": is_new},
            name, ttl_ms=ms, delay_ms=delay)

    def held(self, owner, at, took=0.01, name="a"):
        return self.call("lock", owner, at, took, {"error": "held"}, name)

    def renew(self, owner, at, token, ms=1000):
        return self.call("renew", owner, at, answer={"expires_ms": ms}, token=token)

    def stale(self, owner, at, token):
        return self.call("renew", owner, at, answer={"error": "stale"}, token=token)

    def release(self, owner, at, token, answer=True):
        return self.call("release", owner, at, answer={} if answer else None, token=token)

    def put(self, owner, at, token, version, value="v", took=0.01):
        return self.call("value_put", owner, at, took, {"version": version}, token=token,
                         value=value)

    def get(self, at, version, value="v"):
        return self.call("value_get", "r", at, answer={"version": version, "value": value})

    def kill(self, at):
        self.history.kills.append((at, at + 0.1))
        return self

    def faults(self):
        found = check(self.history)
        for faults in found.values():
            for fault in faults:
                assert str(fault)
        return set(found)


def test_a_history_without_faults_is_found_without_faults():
    scenario = Scenario()
    scenario.lock("x", 0, 1).renew("x", 0.5, 1).put("x", 0.6, 1, 1, "x1").release("x", 0.9, 1)
    scenario.held("y", 0.2).lock("y", 0.3, 2, took=0.7, waited=600).get(1.1, 1, "x1")
    scenario.lock("z", 2.5, 3, delay=500).stale("z", 4.0, 3)
    scenario.lock("x", 4.1, 4).lock("x", 4.2, 4, is_new=False).put("x", 4.3, 4, 2, "x2")
    assert scenario.faults() == set()


def test_two_holders_at_once_are_found():
    assert Scenario().lock("x", 0, 1).lock("y", 0.5, 2).faults() == {"two holders"}


def test_a_granted_renewal_extends_the_lease():
    scenario = Scenario().lock("x", 0, 1).renew("x", 0.9, 1)
    assert scenario.lock("y", 1.5, 2).faults() == {"two holders"}


def test_a_renewal_that_was_never_answered_does_not():
    scenario = Scenario().lock("x", 0, 1).call("renew", "x", 0.9, token=1)
    assert scenario.lock("y", 1.5, 2).faults() == set()


def test_the_lease_counts_from_before_its_request_was_sent():
    assert Scenario().lock("x", 0, 1, took=0.9).lock("y", 0.95, 2, took=0.1).faults() == set()
    assert Scenario().lock("x", 0, 1, took=0.9).lock("y", 0.95, 2, took=0.01).faults() == {
        "two holders"
    }


def test_time_spent_in_line_is_added():
    scenario = Scenario().lock("x", 0, 1, took=3.01, waited=3000)
    assert scenario.lock("y", 3.5, 2).faults() == {"two holders"}


def test_an_owner_that_sent_a_release_no_longer_holds_even_if_the_release_was_lost():
    assert (
        Scenario().lock("x", 0, 1).release("x", 0.4, 1, answer=False).lock("y", 0.5, 2).faults()
        == set()
    )


def test_a_broken_grant_holds_no_longer():
    scenario = Scenario().lock("x", 0, 1).call("lock_break", "op", 0.4, answer={}, token=1)
    assert scenario.lock("y", 0.5, 2).faults() == set()


def test_a_repeated_request_may_shorten_the_lease():
    scenario = Scenario().lock("x", 0, 1, ms=5000).lock("x", 0.5, 1, is_new=False)
    assert scenario.lock("y", 1.5, 2).faults() == set()
    scenario = Scenario().lock("x", 0, 1, ms=5000, delay=3000).call("lock", "x", 0.5, ttl_ms=1000)
    assert scenario.lock("y", 1.5, 2).faults() == set()
    assert Scenario().lock("x", 0, 1, ms=5000).call("lock", "x", 0.5, ttl_ms=1000).lock(
        "y", 1.4, 2).faults() == {"two holders"}


def test_a_grant_before_the_delay_is_over_is_found():
    assert Scenario().lock("x", 0, 1, delay=1000).lock("y", 1.5, 2).faults() == {"delay"}
    assert Scenario().lock("x", 0, 1, delay=1000).lock("y", 2.0, 2).faults() == set()
    assert (
        Scenario().lock("x", 0, 1, delay=1000).release("x", 0.5, 1).lock("y", 0.6, 2).faults()
        == set()
    )


@pytest.mark.parametrize("name", ["a", "b"])
def test_tokens_that_do_not_rise_are_found_across_locks_and_restarts(name):
    scenario = Scenario().lock("x", 0, 7).release("x", 0.1, 7).kill(0.2)
    assert "token" in scenario.lock("y", 1, 6, name=name).faults()


def test_a_token_given_twice_is_found():
    assert "token" in Scenario().lock("x", 0, 7).lock("y", 5, 7).faults()
    assert "token" in Scenario().lock("x", 0, 7).lock("y", 5, 7, name="b").faults()


def test_grants_under_way_at_once_may_have_tokens_in_any_order():
    assert Scenario().lock("x", 0, 7, took=1).lock("y", 0.5, 6, name="b").faults() == set()


def test_a_grant_that_ends_before_its_time_is_found():
    assert Scenario().lock("x", 0, 1).stale("x", 0.5, 1).faults() == {"early"}
    assert Scenario().lock("x", 0, 1).stale("x", 1.0, 1).faults() == set()
    assert Scenario().lock("x", 0, 1).release("x", 0.3, 1).stale("x", 0.5, 1).faults() == set()


def test_a_put_with_an_older_token_is_found():
    scenario = Scenario().lock("x", 0, 1).lock("y", 2, 2).put("y", 2.1, 2, 1, "y")
    assert scenario.put("x", 2.2, 1, 2, "x").faults() == {"fence"}


def test_a_stored_value_that_is_lost_is_found():
    scenario = Scenario().put("x", 0, 1, 1).put("x", 1, 1, 2).kill(2)
    assert scenario.get(3, 1).faults() == {"value"}


def test_a_version_that_comes_again_is_found():
    assert Scenario().put("x", 0, 1, 1).kill(2).put("y", 3, 2, 1).faults() == {"value"}


def test_versions_that_go_back_are_found():
    assert Scenario().put("x", 0, 1, 5).put("x", 3, 1, 4).faults() == {"value"}


def test_another_value_than_was_put_is_found():
    assert Scenario().put("x", 0, 1, 1, "mine").get(1, 1, "yours").faults() == {"value"}


def overtaken():
    scenario = Scenario().lock("x", 0, 1, ms=9000)
    scenario.held("w", 1).held("w", 2).release("x", 2.5, 1)
    return scenario.lock("y", 3, 2, ms=500).release("y", 3.2, 2)


def test_an_owner_that_came_later_and_was_served_first_is_found():
    assert overtaken().held("w", 3.5).faults() == {"line"}
    assert overtaken().lock("w", 3.5, 3).faults() == {"line"}


def test_a_waiter_that_stopped_its_requests_may_be_passed():
    assert overtaken().faults() == set()
    assert overtaken().held("w", 12.5).faults() == set()


def test_a_waiter_whose_grant_came_first_was_not_passed():
    scenario = Scenario().lock("x", 0, 1, ms=2000).held("w", 1).release("x", 1.5, 1)
    scenario.lock("w", 1.4, 2, took=3, ms=500, waited=100)
    assert scenario.lock("y", 2.2, 3).faults() == set()


def test_a_place_may_come_from_a_request_whose_answer_was_lost():
    scenario = Scenario().lock("x", 0, 1, ms=9000).call("lock", "y", 0.5).held("w", 1).held("w", 2)
    scenario.release("x", 2.5, 1).lock("y", 3, 2, ms=500).release("y", 3.2, 2)
    assert scenario.held("w", 3.5).faults() == set()
    scenario = Scenario().lock("x", 0, 1, ms=9000).call("lock", "y", 0.5)
    scenario.call("lock_cancel", "y", 0.7, answer={}).held("w", 1).held("w", 2)
    scenario.release("x", 2.5, 1).lock("y", 3, 2, ms=500).release("y", 3.2, 2)
    assert scenario.held("w", 3.5).faults() == {"line"}


def test_lines_end_with_the_broker():
    assert overtaken().kill(2.7).held("w", 3.5).faults() == set()


def test_the_first_in_line_may_be_served_first():
    scenario = Scenario().lock("x", 0, 1, ms=9000).held("y", 0.5).held("w", 1).release("x", 2.5, 1)
    assert scenario.lock("y", 3, 2).held("w", 3.5).faults() == set()
