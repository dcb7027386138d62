"""Locks over HTTP while the broker is killed, away, slow or out of disk."""

import concurrent.futures
import os
import signal

import pytest

import pregon
from fake_broker import FakeBroker
from locks_http import Locks, SECRET, locks, start, refused  # noqa: F401 (fixtures)
from page_shapes import check, is_text, is_time


def test_a_lost_answer_is_reported_and_a_repeated_request_gets_the_same_grant(system):
    broker, gateway, locks = start(system)
    broker.signal(signal.SIGSTOP)
    told = refused(locks.put("once", owner="a", ttl=30), 503, "broker_away")
    assert "same owner" in told["error"]["hint"]
    broker.signal(signal.SIGCONT)
    token = pregon.eventually(lambda: locks.put("once", owner="a", ttl=30),
                              lambda a: a.status == 200).json()["token"]
    assert locks.look("once")["token"] == token
    assert locks.take("once", "a") == token


def test_a_broker_killed_before_it_answers_costs_a_503_and_then_all_goes_on(system):
    broker, gateway, locks = start(system)
    before = locks.take("killed", "a")
    broker.signal(signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(locks.put, "killed", owner="b", ttl=30),
                 pool.submit(locks.release, "killed", "a", before),
                 pool.submit(gateway.get, "/cotizaciones/telegram_locks_status")]
        broker.kill()
        put, release, status = [f.result() for f in asked]
    refused(put, 503, "broker_away")
    refused(release, 503, "broker_away")
    assert (status.status, status.json()["status"], status.json()["locks"]) == (
        503,
        "unknown",
        None,
    )
    broker.start()
    after = pregon.eventually(lambda: locks.put("killed", owner="c", ttl=30),
                              lambda a: a.status != 503)
    if after.status == 409:  # b's request was still on its way
        assert after.json()["holder"]["owner"] == "b"
    seen = pregon.eventually(lambda: locks.request("GET", "/killed"), lambda a: a.status == 200)
    assert seen.json()["token"] > before


def test_with_a_file_grants_and_values_outlive_a_killed_broker(system):
    broker = system.broker(store="sqlite:" + system.path("log.db"))
    gateway = system.gateway(broker, locks_token=SECRET)
    locks = Locks(gateway)
    taken = locks.put("kept", owner="a", ttl=60, lock_delay=5)
    token = taken.json()["token"]
    assert taken.json()["durable"] is True
    assert locks.value("kept", "a", token, b"\0update 7").status == 200
    gone = locks.take("gone", "a")
    assert locks.release("gone", "a", gone).status == 200
    listed = gateway.page("locks")
    assert listed["durable"] is True and not listed.get("reason")

    broker.kill()
    broker.start()
    again = pregon.eventually(lambda: locks.put("kept", owner="a", token=token),
                              lambda a: a.status != 503)
    assert (again.status, again.json()["token"]) == (200, token)
    assert refused(locks.put("kept", owner="b", ttl=30), 409, "held")["holder"]["token"] == token
    value = locks.request("GET", "/kept/value")
    assert (value.body, value.headers["X-Lock-Version"]) == (b"\0update 7", "1")
    assert locks.take("gone", "b") > token


def test_a_failing_disk_is_reported_and_renewals_continue(system):
    broker = system.broker(store="sqlite:" + system.path("log.db"))
    gateway = system.gateway(broker, locks_token=SECRET)
    locks = Locks(gateway)
    token = locks.take("telegram-bot", "a")
    file = system.path("log.db-locks")
    os.rename(file, file + ".away")
    told = pregon.eventually(lambda: locks.put("other", owner="a", ttl=30),
                             lambda a: a.status == 503 and a.code == "not_stored")
    assert "same owner" in refused(told, 503, "not_stored")["error"]["hint"]
    refused(locks.value("telegram-bot", "a", token, b"x"), 503, "not_stored")
    assert locks.put("telegram-bot", owner="a", token=token).status == 200
    for page in (gateway.page("locks"), gateway.page("telegram_locks_status")):
        assert page["durable"] is False and "deleted" in page["reason"]
        assert page["locks"][-1]["name"] == "telegram-bot"
    os.rename(file + ".away", file)
    pregon.eventually(lambda: locks.put("other", owner="a", ttl=30), lambda a: a.status == 200)
    assert gateway.page("telegram_locks_status")["durable"] is True


def test_with_the_broker_away_every_route_reports_it_and_none_reports_a_free_lock(system):
    gateway = system.gateway(locks_token=SECRET)
    locks = Locks(gateway)
    for answer in (locks.put("x", owner="a", ttl=30), locks.put("x", owner="a", token=7),
                   locks.release("x", "a", 7), locks.shatter("x", 7),
                   locks.value("x", "a", 7, b"x"), locks.request("GET", "/x"),
                   locks.request("GET", "/x/value"), locks.request("GET", "")):
        refused(answer, 503, "broker_away")
    status = gateway.get("/cotizaciones/telegram_locks_status")
    assert status.status == 503
    check(status.json(), {"status": "unknown", "reason": is_text, "locks": None,
                          "timestamp": is_time})


ODD = {
    "only an id": {}, "lists that are none": {"locks": 7, "token": "x", "version": []},
    "another error": {"error": "frob", "message": "\x1b[31m"},
    "an error that is none": {"error": 7},
    "not now": {"error": "again", "message": "the broker is stopping"},
    "not stored": {"error": "not_stored", "message": "disk is full"},
}


@pytest.mark.parametrize("kind", ODD)
def test_a_broker_that_answers_oddly_or_cannot_store_is_never_taken_for_a_grant(system, kind):
    fake = FakeBroker(system)
    gateway = system.gateway(fake, locks_token=SECRET)
    locks = Locks(gateway)
    for op in ("lock", "renew", "release", "lock_break", "value_put", "value_get", "locks"):
        fake.answers[op] = lambda q: ODD[kind]
    code = {"not now": "busy", "not stored": "not_stored"}.get(kind, "bad_answer")
    for answer in (locks.put("x", owner="a", ttl=30), locks.put("x", owner="a", token=7),
                   locks.release("x", "a", 7), locks.shatter("x", 7),
                   locks.value("x", "a", 7, b"x"), locks.request("GET", "/x/value"),
                   locks.request("GET", "")):
        if kind == "lists that are none" and answer.status in (200, 404):
            continue
        refused(answer, 503, code)
    status = gateway.page("telegram_locks_status")
    assert (status["status"], status["locks"]) == ("unknown", None)
