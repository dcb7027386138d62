"""Locks over HTTP: the requests of a script, and the answers to wrong requests."""

import re
import signal

import pytest

import pregon
from locks_http import (
    BEARER,
    LOCKS,
    Locks,
    SECRET,
    STATUS,
    locks,
    start,
    refused,
)  # noqa: F401 (fixtures)
from page_shapes import check, is_count, is_text, is_time

OURS = "http://localhost:3000"


def is_within(most):
    return lambda v: isinstance(v, float) and 0 <= v <= most


ENTRY = {
    "name": is_text, "state": "held", "holder": is_text, "owner": is_text, "host": is_text,
    "pid": is_count, "token": is_count, "held_for": is_within(60), "expires_in": is_within(30),
    "ttl": 30.0, "lock_delay": 0.0, "closed_for": 0.0, "waiters": is_count,
    "line": lambda v: isinstance(v, list), "value_bytes": is_count, "version": is_count,
    "last_lost": None,
}


def test_a_lock_is_taken_extended_renewed_and_released(locks):
    taken = locks.put("life", owner="a", ttl=30, lock_delay=1.5, host="web1", pid=4711)
    assert taken.status == 200
    check(taken.json(), {"name": "life", "owner": "a", "token": is_count,
                         "expires_in": is_within(30), "ttl": 30.0, "lock_delay": 1.5,
                         "is_new": True, "durable": False})
    token = taken.json()["token"]

    check(locks.look("life"), {**ENTRY, "name": "life", "holder": "a", "owner": "a",
                               "host": "web1", "pid": 4711, "token": token, "lock_delay": 1.5,
                               "waiters": 0, "line": lambda v: v == [], "version": 0,
                               "value_bytes": 0})

    again = locks.put("life", owner="a", ttl=60).json()
    assert (again["token"], again["is_new"], again["ttl"]) == (token, False, 60.0)
    assert again["expires_in"] > 30 and again["lock_delay"] == 0.0

    for how in (token, str(token)):
        renewed = locks.put("life", owner="a", token=how, ttl=2.5)
        assert renewed.status == 200
        check(renewed.json(), {"name": "life", "owner": "a", "token": token,
                               "expires_in": is_within(2.5)})
    assert locks.put("life", owner="a", token=token).json()["expires_in"] > 30

    for _ in range(2):  # a client that did not get the answer repeats its request
        released = locks.release("life", "a", token)
        assert released.status == 200
        check(released.json(), {"name": "life", "token": token, "released": True})
    free = locks.look("life")
    assert (free["state"], free["holder"], free["owner"]) == ("free", None, "a")
    assert locks.take("life", "b") > token


def test_a_refused_owner_receives_the_holder_and_its_place(locks):
    token = locks.take("busy", "a", host="web1")

    answer = locks.put("busy", owner="b", ttl=30)
    told = refused(answer, 409, "held")
    check({k: v for k, v in told.items() if k != "error"},
          {"holder": {"owner": "a", "token": token, "expires_in": is_within(30)},
           "closed_for": 0.0, "place": 1, "waiters": 1})
    assert "web1" in told["error"]["message"]
    assert 1 <= int(answer.headers["Retry-After"]) < 10
    assert locks.put("busy", owner="c", ttl=30).json()["place"] == 2
    assert locks.put("busy", owner="b", ttl=30).json()["place"] == 1
    seen = locks.look("busy")
    assert (seen["waiters"], seen["line"]) == (2, ["b", "c"])


def test_a_free_lock_goes_to_the_first_owner_in_the_queue(locks):
    token = locks.take("line", "a")
    for place, owner in enumerate(("b", "c"), 1):
        assert locks.put("line", owner=owner, ttl=30).json()["place"] == place
    assert locks.release("line", "a", token).status == 200

    for owner, place in (("c", 2), ("d", 3)):
        told = refused(locks.put("line", owner=owner, ttl=30), 409, "held")
        assert (told["holder"], told["place"]) == (None, place)
    second = locks.take("line", "b")
    assert second > token
    assert refused(locks.put("line", owner="c", ttl=30), 409, "held")["place"] == 1


def test_a_place_is_lost_when_its_owner_does_not_come_back(locks):
    token = locks.take("patience", "a")
    assert locks.put("patience", owner="b", ttl=30).json()["place"] == 1
    assert locks.put("patience", owner="c", ttl=30).json()["place"] == 2
    assert locks.release("patience", "a", token).status == 200
    # c repeats its requests, b does not.
    granted = pregon.eventually(lambda: locks.put("patience", owner="c", ttl=30),
                                lambda a: a.status == 200, patience=2 * pregon.PATIENCE)
    assert granted.json()["is_new"]
    assert locks.look("patience")["waiters"] == 0


def test_a_grant_that_ran_out_is_over_and_leaves_the_lock_closed(locks):
    token = locks.take("lost", "a", ttl=1, lock_delay=600)
    told = pregon.eventually(lambda: locks.look("lost"), lambda e: e["state"] == "closed")
    assert (told["holder"], told["owner"], told["expires_in"]) == (None, "a", 0.0)
    assert 0 < told["closed_for"] <= 600
    check(told["last_lost"], {"owner": "a", "token": token, "ago": is_within(600),
                              "reason": "expired"})

    closed = refused(locks.put("lost", owner="b", ttl=30), 409, "held")
    assert closed["holder"] is None and 0 < closed["closed_for"] <= 600
    for late in (locks.put("lost", owner="a", token=token), locks.release("lost", "a", token),
                 locks.value("lost", "a", token, b"x")):
        told = refused(late, 409, "stale")
        assert (told["reason"], told["owner"], told["token"]) == ("expired", "a", token)


def test_an_old_token_changes_nothing_once_another_has_the_lock(locks):
    old = locks.take("fence", "a")
    assert locks.value("fence", "a", old, b"of a").status == 200
    locks.release("fence", "a", old)
    new = locks.take("fence", "b")
    assert new > old

    for late in (locks.put("fence", owner="a", token=old), locks.release("fence", "a", old),
                 locks.value("fence", "a", old, b"late"), locks.shatter("fence", old),
                 locks.release("fence", "a", new), locks.put("fence", owner="b", token=old)):
        assert refused(late, 409, "stale")["token"] == new
    assert locks.look("fence")["holder"] == "b"
    assert locks.request("GET", "/fence/value").body == b"of a"


def test_a_broken_lock_is_taken_from_its_holder_and_stays_closed_for_its_delay(system):
    broker, gateway, locks = start(system)
    token = locks.take("bot", "a", lock_delay=500)
    broken = locks.shatter("bot", token, "it%20hangs%0a%1b")
    assert broken.status == 200
    check(broken.json(), {"name": "bot", "token": token, "broken": True,
                          "closed_for": is_within(500)})
    line = broker.wait_for_log(
        r"WARNING.*bot.*token %d.*broken by 127\.0\.0\.1:\d+: it hangs" % token)
    assert "\x1b" not in line.string
    entry = locks.look("bot")
    assert (entry["state"], entry["holder"]) == ("closed", None)
    assert entry["last_lost"]["reason"] == "broken"
    assert refused(locks.put("bot", owner="a", token=token), 409, "stale")["reason"] == "broken"
    assert refused(locks.put("bot", owner="b", ttl=30), 409, "held")["closed_for"] > 0


def test_a_value_comes_back_byte_by_byte_with_its_version_and_token(locks):
    token = locks.take("store", "a")
    refused(locks.request("GET", "/store/value"), 404, "no_value")
    every_byte = bytes(range(256)) * 256
    assert len(every_byte) == 65536
    for version, value in enumerate((every_byte, b"", b"\r\n\r\n\0", "ñ".encode()), 1):
        put = locks.value("store", "a", token, value)
        assert put.status == 200, put.body
        assert put.json() == {"name": "store", "token": token, "version": version}
        for path in ("/store/value", "/store/value/"):
            got = locks.request("GET", path)
            assert (got.status, got.body) == (200, value)
            assert got.headers["Content-Type"] == "application/octet-stream"
            assert got.headers["X-Lock-Version"] == str(version)
            assert got.headers["X-Lock-Token"] == str(token)
        head = locks.request("HEAD", "/store/value")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Length"] == str(len(value))
    assert locks.look("store")["value_bytes"] == len("ñ".encode())

    refused(locks.value("store", "a", token, bytes(65537)), 413, "too_large")
    refused(locks.value("store", "a", token + 1, b"x"), 409, "stale")
    refused(locks.value("nothing", "a", token, b"x"), 404, "unknown_lock")
    assert locks.request("GET", "/store/value").headers["X-Lock-Version"] == "4"


def test_a_value_outlives_its_holder(locks):
    token = locks.take("legacy", "a")
    locks.value("legacy", "a", token, b"update 7")
    locks.release("legacy", "a", token)
    got = locks.request("GET", "/legacy/value")
    assert (got.body, got.headers["X-Lock-Token"]) == (b"update 7", str(token))


def test_locks_are_listed_in_order_by_prefix_and_in_pages(system):
    broker, gateway, locks = start(system)
    names = sorted(f"{p}-{i:02}" for p in ("a", "b", "telegram") for i in range(4))
    tokens = {name: locks.take(name, "me") for name in names}

    everything = gateway.get(LOCKS)
    check(everything.json(), {"locks": [{**ENTRY, "holder": "me"}], "total": 12,
                              "truncated": False, "durable": False, "reason": is_text,
                              "timestamp": is_time})
    assert [e["name"] for e in everything.json()["locks"]] == names
    assert {e["name"]: e["token"] for e in everything.json()["locks"]} == tokens
    assert gateway.get(LOCKS + "/").json()["total"] == 12
    assert [e["name"] for e in gateway.page("locks?prefix=b-")["locks"]] == names[4:8]
    none = gateway.page("locks?prefix=c")
    assert (none["locks"], none["total"]) == ([], 0)

    seen, offset = [], 0
    while offset is not None:
        page = gateway.page(f"locks?limit=5&offset={offset}")
        assert page["total"] == 12 and page["truncated"] == ("next" in page)
        seen += [e["name"] for e in page["locks"]]
        offset = page.get("next")
    assert seen == names
    assert gateway.page("locks?limit=0")["truncated"] is True

    told = gateway.page("telegram_locks_status")
    check(told, {"status": "ok", "locks": [{**ENTRY, "holder": "me"}], "count": 4,
                 "truncated": False, "durable": False, "reason": is_text, "timestamp": is_time})
    assert [e["name"] for e in told["locks"]] == names[8:]


def test_two_gateways_of_one_broker_see_one_lock(system):
    broker, one, first = start(system)
    two = system.gateway(broker, locks_token=SECRET)
    second = Locks(two)
    token = first.take("shared", "a")
    assert refused(second.put("shared", owner="b", ttl=30), 409, "held")["holder"]["token"] == token
    assert second.look("shared")["holder"] == "a"
    assert second.put("shared", owner="a", token=token).status == 200
    assert second.value("shared", "a", token, b"x").status == 200
    assert first.request("GET", "/shared/value").body == b"x"
    assert second.release("shared", "a", token).status == 200
    assert second.take("shared", "b") > token
    assert one.page("telegram_locks_status")["count"] == 0


def test_without_a_token_in_the_settings_locks_are_only_shown(system):
    broker, gateway = system.start()
    locks = Locks(gateway)
    for answer in (locks.put("x", owner="a", ttl=30), locks.release("x", "a", 1),
                   locks.shatter("x", 1), locks.value("x", "a", 1, b"x"),
                   locks.request("GET", "/x/value")):
        assert "LOCKS_TOKEN" in refused(answer, 403, "locks_read_only")["error"]["hint"]
    assert gateway.page("locks")["total"] == 0


@pytest.mark.parametrize("bearer", [
    {}, {"Authorization": "Bearer "}, {"Authorization": "Bearer sesame"},
    {"Authorization": f"Bearer {SECRET}x"}, {"Authorization": f"Basic {SECRET}"},
    {"Authorization": SECRET},
])
def test_a_request_without_the_token_changes_nothing_and_sees_no_value(locks, bearer):
    other = Locks(locks.gateway, bearer)
    for answer in (other.put("guarded", owner="a", ttl=30), other.release("guarded", "a", 1),
                   other.shatter("guarded", 1), other.value("guarded", "a", 1, b"x"),
                   other.request("GET", "/guarded/value"),
                   other.request("PUT", f"/guarded?token={SECRET}", "{}")):
        refused(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    refused(other.request("GET", "/guarded"), 404, "unknown_lock")


def test_with_a_status_token_only_its_bearers_see_holders(system):
    broker, gateway, locks = start(system, status_token=STATUS)
    locks.take("telegram-bot", "holder-x", host="web1", pid=4711, ttl=30)
    locks.put("telegram-bot", owner="waiter-y", ttl=30)
    pages = (LOCKS, LOCKS + "/telegram-bot", "/cotizaciones/telegram_locks_status")
    for path in pages:
        for token in (STATUS, SECRET):
            shown = gateway.get(path, headers={"Authorization": "Bearer " + token}).body
            assert all(t in shown for t in (b"holder-x", b"waiter-y", b"web1", b"4711"))
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            answer = gateway.get(path, headers=headers)
            assert answer.status == 200 and b'"state":"held"' in answer.body
            assert b'"waiters":1' in answer.body
            assert not [t for t in (b"holder-x", b"waiter-y", b"web1", b"4711")
                        if t in answer.body]


def test_the_token_is_read_again_at_sighup(system):
    path = system.path("settings", f"LOCKS_TOKEN={SECRET}\n")
    broker = system.broker()
    gateway = system.gateway(broker, flags=["--env-file", path])
    assert Locks(gateway).put("x", owner="a", ttl=30).status == 200
    system.path("settings", "LOCKS_TOKEN=another\n")
    gateway.signal(signal.SIGHUP)
    refusal = pregon.eventually(lambda: Locks(gateway).put("x", owner="a", ttl=30),
                                lambda a: a.status != 200)
    refused(refusal, 401, "unauthorized")  # and no 503 in between
    assert Locks(gateway, {"Authorization": "Bearer another"}).put(
        "x", owner="a", ttl=30).status == 200


def test_no_log_holds_a_secret(system):
    broker, gateway = system.start(locks_token=SECRET, status_token=STATUS, log_level="trace")
    locks = Locks(gateway)
    token = locks.take("quiet", "a")
    locks.value("quiet", "a", token, b"a value of mine")
    locks.request("PUT", f"/quiet?token={SECRET}", "{")
    Locks(gateway, {"Authorization": f"Bearer {SECRET}2"}).put("quiet", owner="a", ttl=30)
    gateway.get(LOCKS, headers={"Authorization": "Bearer " + STATUS})
    locks.release("quiet", "a", token)
    gateway.wait_for_log(r'"DELETE /cotizaciones/locks/quiet\?owner=a&token=\*\*\* HTTP/1.1" 200')
    gateway.stop()
    broker.stop()
    for process in (gateway, broker):
        text = "\n".join(process.log())
        assert SECRET not in text and STATUS not in text and "a value of mine" not in text


def preflight(gateway, method, headers="Authorization, Content-Type"):
    return gateway.get(LOCKS + "/page", "OPTIONS", {
        "Origin": OURS, "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers})


def test_a_page_may_change_locks_only_where_the_settings_allow_it(system):
    broker, gateway = system.start(locks_token=SECRET, cors_allow_methods="GET",
                                   cors_allow_headers="X-Other")
    answer = preflight(gateway, "PUT")
    assert answer.status == 400
    assert answer.body.startswith(b"Disallowed CORS method, headers\n")

    open_gateway = system.gateway(broker, locks_token=SECRET,
                                  cors_expose_headers="X-Lock-Version,X-Lock-Token")
    for method in ("PUT", "DELETE"):
        answer = preflight(open_gateway, method)
        assert (answer.status, answer.body) == (200, b"OK")
        assert method in answer.headers["Access-Control-Allow-Methods"]
        assert answer.headers["Access-Control-Allow-Origin"] == OURS
    page = Locks(open_gateway, {**BEARER, "Origin": OURS})
    token = page.take("page", "a")
    for answer in (page.put("page", owner="b", ttl=30), page.value("page", "a", token, b"x"),
                   page.request("GET", "/page/value"), page.release("page", "a", token)):
        assert answer.headers["Access-Control-Allow-Origin"] == OURS
        assert answer.headers["Vary"] == "Origin"
        assert "X-Lock-Version" in answer.headers["Access-Control-Expose-Headers"]


def test_head_answers_as_get_without_the_body(locks):
    locks.take("head", "a")
    for path, status in (("", 200), ("/head", 200), ("/none", 404), ("/head/value", 404)):
        got, head = locks.request("GET", path), locks.request("HEAD", path)
        assert (got.status, head.status, head.body) == (status, status, b"")
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert re.fullmatch(r"\d+", head.headers["Content-Length"])
