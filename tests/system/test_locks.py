"""Locks at the real broker: what docs/protocol/locks.md promises, also across kill -9."""

import os
import signal
import sqlite3

import msgpack
import pytest
import zmq

import pregon
from pregon import eventually

LONG = 60000  # ms; no test takes so long


@pytest.fixture
def broker(system):
    return system.broker(store=f"sqlite:{system.path('pregon.db')}")


def is_granted(answer):
    return "error" not in answer


def restart(broker):
    broker.kill()
    broker.start()


def test_a_repeated_request_after_a_lost_answer_gets_the_same_grant(system, broker):
    x = system.locker(broker, "x")
    first = x.lock("a", LONG)
    assert first["is_new"] and first["durable"]
    again = x.lock("a", LONG)
    assert not again["is_new"] and again["token"] == first["token"]
    # Also if the broker is killed before its answer can be read.
    x.begin_lock("b", LONG)
    eventually(lambda: x.control.request("locks", name="b")["total"])
    restart(broker)
    y = system.locker(broker, "x")
    answer = y.lock("b", LONG)
    assert is_granted(answer) and not answer["is_new"]


def test_one_holder_at_a_time_and_the_others_learn_its_name(system, broker):
    x, y = system.locker(broker, "x"), system.locker(broker, "y")
    x.lock("a", LONG, host="here", pid=7)
    refused = y.lock("a", LONG)
    assert refused["error"] == "held" and refused["owner"] == "x" and refused["place"] == 1
    assert "held by x (pid 7 on here)" in refused["message"]
    assert 0 < refused["expires_ms"] <= LONG
    assert y.entry("a")["state"] == "held"


def test_tokens_rise_with_every_grant_also_across_kill_9(system, broker):
    tokens = []
    for life in range(3):
        x = system.locker(broker, f"x{life}")
        for name in ("a", "b"):
            tokens.append(x.acquire(name, 1000))
            assert is_granted(x.release(name))
            tokens.append(x.acquire(name, LONG))
            assert is_granted(x.release(name))
        restart(broker)
    assert tokens == sorted(set(tokens))


def test_an_old_token_is_refused_everywhere(system, broker):
    x, y = system.locker(broker, "x"), system.locker(broker, "y")
    old = x.acquire("a", 1000)
    assert x.put("a", b"x was here")["version"] == 1
    new = y.acquire("a", LONG)  # x does not renew
    assert new > old
    restart(broker)
    x, y = system.locker(broker, "x"), system.locker(broker, "y")
    for answer in (x.renew("a", old), x.release("a", old), x.put("a", b"late", old)):
        assert answer["error"] == "stale" and answer["reason"] == "taken", answer
        assert answer["owner"] == "y" and answer["token"] == new
    assert y.get("a")["value"] == b"x was here" and y.get("a")["token"] == old
    assert y.put("a", b"y is", new)["version"] == 2


def test_an_expired_lease_stays_expired_even_if_no_owner_took_the_lock(system, broker):
    x = system.locker(broker, "x")
    token = x.lock("a", 1000)["token"]
    eventually(lambda: x.entry("a")["state"], lambda s: s == "free")
    answer = x.renew("a", token)
    assert answer["error"] == "stale" and answer["reason"] == "expired"
    lost = x.entry("a")["last_lost"]
    assert lost["owner"] == "x" and lost["token"] == token and lost["reason"] == "expired"


def test_a_silent_holders_lock_stays_closed_for_its_delay(system, broker):
    x, y = system.locker(broker, "x"), system.locker(broker, "y")
    x.lock("a", 1000, delay_ms=LONG)
    refused = eventually(lambda: y.lock("a"), lambda a: a.get("closed_ms"))
    assert refused["error"] == "held" and refused["owner"] == ""
    assert "stays closed" in refused["message"]
    assert x.lock("a")["error"] == "held"  # this also applies to the former holder
    x.lock("b", 1000, delay_ms=LONG)
    x.release("b")
    assert is_granted(y.lock("b"))  # released: no delay


def test_after_a_restart_a_lease_runs_anew_and_then_its_delay(system, broker):
    x, y = system.locker(broker, "x"), system.locker(broker, "y")
    token = x.lock("a", 2000, delay_ms=1000)["token"]
    x.lock("kept", LONG)
    z = system.locker(broker, "z")
    z.lock("gone", LONG)
    z.release("gone")
    eventually(lambda: x.entry("a")["expires_ms"], lambda ms: ms < 1500)
    restart(broker)
    x, y = system.locker(broker, "x"), system.locker(broker, "y")
    anew = y.lock("a")
    assert anew["owner"] == "x" and anew["expires_ms"] > 1500
    assert x.renew("a", token)["expires_ms"] > 1500
    assert y.lock("kept")["error"] == "held"
    assert is_granted(y.lock("gone"))
    states = []

    def look():
        state = x.entry("a")["state"]
        if not states or states[-1] != state:
            states.append(state)
        return state

    eventually(look, lambda s: s == "free")
    assert states == ["held", "closed", "free"]


def test_waiters_are_served_first_come_first_served(system, broker):
    x = system.locker(broker, "x")
    x.lock("a", LONG)
    line = [system.locker(broker, f"w{i}") for i in range(5)]
    for i, w in enumerate(line):
        w.begin_lock("a", LONG, wait_ms=9000)
        eventually(lambda: x.entry("a")["waiters"], lambda n, i=i: n == i + 1)
    assert x.entry("a")["line"] == [w.owner for w in line]
    # An owner that repeats its request keeps its place, and only the newest request is answered.
    line[0].begin_lock("a", LONG, wait_ms=9000)
    line[0].control.wait_processed()
    x.release("a")
    for w in line:
        answer = w.answered()
        assert is_granted(answer) and answer["is_new"], answer
        assert answer["token"] > (x.tokens["a"] or 0)
        x.tokens["a"] = answer["token"]
        assert is_granted(w.release("a"))


def test_the_broker_keeps_the_place_of_an_owner_that_repeats_its_request(system, broker):
    x, y, z = (system.locker(broker, name) for name in "xyz")
    x.lock("a", LONG)
    assert y.lock("a", keep=True)["place"] == 1
    assert z.lock("a", keep=True)["place"] == 2
    x.release("a")
    refused = z.lock("a")
    assert refused["error"] == "held" and refused["owner"] == "" and refused["place"] == 2
    assert "first in line" in refused["message"]
    assert is_granted(y.lock("a", LONG))
    y.release("a")
    # An owner that gives up its place lets the next one advance.
    assert y.lock("a", keep=True)["place"] == 2
    y.control.request("lock_cancel", name="a", owner="y")
    assert x.lock("a")["place"] == 2
    assert is_granted(z.lock("a", LONG))


def test_the_broker_drops_the_place_of_an_owner_that_stopped_its_requests(system, broker):
    x, y, z = (system.locker(broker, name) for name in "xyz")
    x.lock("a", LONG)
    y.lock("a", keep=True)
    x.release("a")
    assert z.lock("a", keep=True)["place"] == 2
    z.acquire("a", LONG)
    assert z.entry("a")["waiters"] == 0


def test_an_operator_breaks_a_lock_and_its_delay_holds(system, broker):
    x, y = system.locker(broker, "x"), system.locker(broker, "y")
    token = x.lock("a", LONG, delay_ms=1000)["token"]
    x.put("a", b"kept")
    asked = {"op": "lock_break", "name": "a", "by": "ops", "reason": "it hangs"}
    wrong = y.control.request(**{**asked, "token": token - 1})
    assert wrong["error"] == "stale"
    broken = y.control.request(**{**asked, "token": token})
    assert broken["token"] == token and 0 < broken["closed_ms"] <= 1000
    broker.wait_for_log(r"WARNING.*lock a: the grant of x.* is broken by ops: it hangs")
    assert x.renew("a")["reason"] == "broken"
    assert y.lock("a")["closed_ms"]
    y.acquire("a", LONG)
    assert y.get("a")["value"] == b"kept"


def test_values_are_bounded_and_survive(system, broker):
    x = system.locker(broker, "x")
    x.lock("a", LONG)
    value = os.urandom(65536)
    assert x.put("a", value + b"1")["error"] == "too_large"
    assert x.get("a")["version"] == 0
    assert x.put("a", value)["version"] == 1
    restart(broker)
    x = system.locker(broker, "x")
    assert x.get("a")["value"] == value and x.get("a")["version"] == 1
    assert x.get("none")["error"] == "not_found"


def test_while_the_file_cannot_be_written_renewals_go_on_and_grants_are_refused(system, broker):
    file = system.path("pregon.db-locks")
    x, y = system.locker(broker, "x"), system.locker(broker, "y")
    x.lock("a", LONG)
    os.rename(file, file + ".away")
    refused = y.lock("b", LONG)
    assert refused["error"] == "not_stored", refused
    assert "moved or deleted" in refused["message"] and "ask again" in refused["message"]
    assert y.lock("c", LONG)["error"] == "not_stored"
    assert x.renew("a")["expires_ms"] == LONG
    assert x.put("a", b"1")["error"] == "not_stored"
    told = x.control.request("locks")
    assert told["durable"] is False and "moved or deleted" in told["reason"]
    assert x.control.request("status")["locks"]["durable"] is False
    os.rename(file + ".away", file)
    y.acquire("b", LONG)
    assert x.put("a", b"1")["version"] == 1
    assert x.control.request("status")["locks"]["durable"] is True
    broker.wait_for_log("Locks are stored again")
    restart(broker)
    assert system.locker(broker, "q").lock("b")["owner"] == "y"


def test_locks_in_memory_work_and_report_that_they_are_not_durable(system):
    broker = system.broker(store="memory")
    x = system.locker(broker, "x")
    first = x.lock("a", LONG)
    assert is_granted(first) and first["durable"] is False
    told = x.control.request("locks")
    assert told["durable"] is False and "memory" in told["reason"]
    restart(broker)
    x = system.locker(broker, "x")
    assert x.control.request("locks")["total"] == 0
    assert x.lock("a", LONG)["token"] > first["token"]


def test_a_watching_client_receives_every_change(system, broker):
    watcher = system.context.socket(zmq.SUB)
    watcher.connect(broker.ready["publish"])
    for topic in (b"!lock/a ", b"!welcome "):
        watcher.subscribe(topic)
    assert watcher.recv_multipart() == [b"!welcome "]
    x, y = system.locker(broker, "x"), system.locker(broker, "y")
    # A subscription takes a moment: changes until one is seen.
    eventually(lambda: x.lock("a", LONG) and x.release("a") and watcher.poll(20))
    while watcher.poll(200):
        last = msgpack.unpackb(watcher.recv_multipart()[1])
    x.lock("a", LONG)
    x.lock("other", LONG)
    x.renew("a")
    y.lock("a", keep=True)
    x.put("a", b"12")
    x.release("a")
    seen = []
    for _ in range(4):
        assert watcher.poll(pregon.PATIENCE * 1000)
        kind, _, seq, prev, _, _, entry = msgpack.unpackb(watcher.recv_multipart()[1])
        assert kind == 6 and prev == last[2] and seq > prev
        last = (0, 0, seq)
        seen.append((entry["state"], entry["owner"], entry["waiters"], entry["value_bytes"]))
    assert seen == [("held", "x", 0, 0), ("held", "x", 1, 0), ("held", "x", 1, 2),
                    ("free", "x", 1, 2)]
    watcher.close(0)


def test_grants_answered_before_a_stop_are_stored_and_waiting_requests_are_answered(system, broker):
    x = system.locker(broker, "x")
    names = [f"n{i}" for i in range(50)]
    for name in names:
        x.begin_lock(name, LONG)
    broker.signal(signal.SIGTERM)
    granted = set()
    while x.control.socket.poll(1000):
        answer = x.control.receive()
        if is_granted(answer):
            granted.add(answer["name"])
    broker.wait_for_exit()
    broker.start()
    y = system.locker(broker, "y")
    held = {e["name"] for e in y.control.request("locks")["locks"] if e["state"] == "held"}
    assert granted <= held


def test_sqlite3_shows_the_holder_of_each_lock(system, broker):
    x = system.locker(broker, "x")
    token = x.lock("a", LONG, host="here", pid=7)["token"]
    with sqlite3.connect(f"file:{system.path('pregon.db-locks')}?mode=ro", uri=True) as db:
        assert db.execute("SELECT name, owner, host, pid, token, ttl FROM held").fetchall() == [
            ("a", "x", "here", 7, token, 60.0)]
        (text,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'locks'").fetchone()
    assert "-- the fencing token of the last grant" in text


def test_a_broker_does_not_start_on_a_file_it_cannot_use(system):
    store = system.path("pregon.db")
    system.path(
        "pregon.db-locks", "this is no database, and longer than a hundred bytes: " + "x" * 99
    )
    broker = system.broker(store=f"sqlite:{store}", wait=False)
    broker.wait_for_exit(1)
    assert broker.logged(r"CRITICAL.*pregon\.db-locks: cannot read it: it is not a SQLite file")


def test_the_settings_bound_lock_requests(system):
    broker = system.broker(lock_ttl_max=5, lock_delay_max=1, lock_count_max=2)
    x = system.locker(broker, "x")
    assert x.lock("a", 5001)["error"] == "invalid"
    assert x.lock("a", 5000, delay_ms=1001)["error"] == "invalid"
    assert is_granted(x.lock("a", 5000)) and is_granted(x.lock("b", 5000))
    full = x.lock("c", 5000)
    assert full["error"] == "full" and "LOCK_COUNT_MAX" in full["message"]
    x.release("a")
    eventually(lambda: x.lock("c", 5000), is_granted)
