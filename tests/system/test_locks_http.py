"""Locks over HTTP: what a script does with them, and what it is told when it does it wrong."""

import concurrent.futures
import json
import os
import re
import signal
import socket
import threading

import pytest

import pregon
from fake_broker import FakeBroker
from test_pages import check, is_count, is_text, is_time

SECRET, STATUS = "sesame-open", "show-me"
BEARER = {"Authorization": "Bearer " + SECRET}
LOCKS = "/cotizaciones/locks"
OURS = "http://localhost:3000"


class Locks:
    """The lock service through one gateway, as one who may change it."""

    def __init__(self, gateway, bearer=BEARER):
        self.gateway = gateway
        self.bearer = bearer

    def ask(self, method, path, body=None):
        return self.gateway.get(LOCKS + path, method, self.bearer, body)

    def put(self, name, **body):
        return self.ask("PUT", f"/{name}", json.dumps(body))

    def take(self, name, owner, ttl=30, **body):
        """The token; the lock must be free or ours."""
        answer = self.put(name, owner=owner, ttl=ttl, **body)
        assert answer.status == 200, answer.body
        return answer.json()["token"]

    def release(self, name, owner, token):
        return self.ask("DELETE", f"/{name}?owner={owner}&token={token}")

    def shatter(self, name, token, reason=""):
        return self.ask("DELETE", f"/{name}?break=1&token={token}&reason={reason}")

    def value(self, name, owner, token, value):
        return self.ask("PUT", f"/{name}/value?owner={owner}&token={token}", value)

    def look(self, name):
        return self.ask("GET", f"/{name}").json()


def play(stage, **settings):
    broker, gateway = stage.play(locks_token=SECRET, **settings)
    return broker, gateway, Locks(gateway)


@pytest.fixture(scope="module")
def locks(long_stage):
    """For stories that each have a lock of their own."""
    return play(long_stage)[2]


def refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer.body
    check(answer.json()["error"], {"code": code, "message": is_text, "request_id": is_text,
                                   "hint": lambda t: isinstance(t, str)})
    assert answer.headers["X-Reject-Reason"] == code
    if status == 503:
        assert int(answer.headers["Retry-After"]) > 0
    return answer.json()


def is_within(most):
    return lambda v: isinstance(v, float) and 0 <= v <= most


ENTRY = {
    "name": is_text, "state": "held", "holder": is_text, "owner": is_text, "host": is_text,
    "pid": is_count, "token": is_count, "held_for": is_within(60), "expires_in": is_within(30),
    "ttl": 30.0, "lock_delay": 0.0, "closed_for": 0.0, "waiters": is_count,
    "line": lambda v: isinstance(v, list), "value_bytes": is_count, "version": is_count,
    "last_lost": None,
}


# --- taking, keeping, giving back ------------------------------------------------------------------------


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

    for _ in range(2):  # who did not hear the answer asks again
        released = locks.release("life", "a", token)
        assert released.status == 200
        check(released.json(), {"name": "life", "token": token, "released": True})
    free = locks.look("life")
    assert (free["state"], free["holder"], free["owner"]) == ("free", None, "a")
    assert locks.take("life", "b") > token


def test_who_is_refused_is_told_holder_and_place(locks):
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


def test_the_first_in_line_gets_a_free_lock_and_nobody_before_it(locks):
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
    # c keeps asking, b does not.
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
    assert locks.ask("GET", "/fence/value").body == b"of a"


def test_a_broken_lock_is_taken_from_its_holder_and_stays_closed_for_its_delay(stage):
    broker, gateway, locks = play(stage)
    token = locks.take("bot", "a", lock_delay=500)
    broken = locks.shatter("bot", token, "it%20hangs%0a%1b")
    assert broken.status == 200
    check(broken.json(), {"name": "bot", "token": token, "broken": True,
                          "closed_for": is_within(500)})
    line = broker.says(r"WARNING.*bot.*token %d.*broken by 127\.0\.0\.1:\d+: it hangs" % token)
    assert "\x1b" not in line.string
    entry = locks.look("bot")
    assert (entry["state"], entry["holder"]) == ("closed", None)
    assert entry["last_lost"]["reason"] == "broken"
    assert refused(locks.put("bot", owner="a", token=token), 409, "stale")["reason"] == "broken"
    assert refused(locks.put("bot", owner="b", ttl=30), 409, "held")["closed_for"] > 0


# --- values ------------------------------------------------------------------------


def test_a_value_comes_back_byte_by_byte_with_its_version_and_token(locks):
    token = locks.take("store", "a")
    refused(locks.ask("GET", "/store/value"), 404, "no_value")
    every_byte = bytes(range(256)) * 256
    assert len(every_byte) == 65536
    for version, value in enumerate((every_byte, b"", b"\r\n\r\n\0", "ñ".encode()), 1):
        put = locks.value("store", "a", token, value)
        assert put.status == 200, put.body
        assert put.json() == {"name": "store", "token": token, "version": version}
        for path in ("/store/value", "/store/value/"):
            got = locks.ask("GET", path)
            assert (got.status, got.body) == (200, value)
            assert got.headers["Content-Type"] == "application/octet-stream"
            assert got.headers["X-Lock-Version"] == str(version)
            assert got.headers["X-Lock-Token"] == str(token)
        head = locks.ask("HEAD", "/store/value")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Length"] == str(len(value))
    assert locks.look("store")["value_bytes"] == len("ñ".encode())

    refused(locks.value("store", "a", token, bytes(65537)), 413, "too_large")
    refused(locks.value("store", "a", token + 1, b"x"), 409, "stale")
    refused(locks.value("nothing", "a", token, b"x"), 404, "unknown_lock")
    assert locks.ask("GET", "/store/value").headers["X-Lock-Version"] == "4"


def test_a_value_outlives_its_holder(locks):
    token = locks.take("legacy", "a")
    locks.value("legacy", "a", token, b"update 7")
    locks.release("legacy", "a", token)
    got = locks.ask("GET", "/legacy/value")
    assert (got.body, got.headers["X-Lock-Token"]) == (b"update 7", str(token))


# --- lists ------------------------------------------------------------------------


def test_locks_are_listed_in_order_by_prefix_and_in_pages(stage):
    broker, gateway, locks = play(stage)
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


def test_two_gateways_of_one_broker_see_one_lock(stage):
    broker, one, first = play(stage)
    two = stage.gateway(broker, locks_token=SECRET)
    second = Locks(two)
    token = first.take("shared", "a")
    assert refused(second.put("shared", owner="b", ttl=30), 409, "held")["holder"]["token"] == token
    assert second.look("shared")["holder"] == "a"
    assert second.put("shared", owner="a", token=token).status == 200
    assert second.value("shared", "a", token, b"x").status == 200
    assert first.ask("GET", "/shared/value").body == b"x"
    assert second.release("shared", "a", token).status == 200
    assert second.take("shared", "b") > token
    assert one.page("telegram_locks_status")["count"] == 0


# --- who may ------------------------------------------------------------------------


def test_without_a_token_in_the_settings_locks_are_only_shown(stage):
    broker, gateway = stage.play()
    locks = Locks(gateway)
    for answer in (locks.put("x", owner="a", ttl=30), locks.release("x", "a", 1),
                   locks.shatter("x", 1), locks.value("x", "a", 1, b"x"),
                   locks.ask("GET", "/x/value")):
        assert "LOCKS_TOKEN" in refused(answer, 403, "locks_read_only")["error"]["hint"]
    assert gateway.page("locks")["total"] == 0


@pytest.mark.parametrize("bearer", [
    {}, {"Authorization": "Bearer "}, {"Authorization": "Bearer sesame"},
    {"Authorization": f"Bearer {SECRET}x"}, {"Authorization": f"Basic {SECRET}"},
    {"Authorization": SECRET},
])
def test_who_does_not_show_the_token_changes_nothing_and_sees_no_value(locks, bearer):
    other = Locks(locks.gateway, bearer)
    for answer in (other.put("guarded", owner="a", ttl=30), other.release("guarded", "a", 1),
                   other.shatter("guarded", 1), other.value("guarded", "a", 1, b"x"),
                   other.ask("GET", "/guarded/value"),
                   other.ask("PUT", f"/guarded?token={SECRET}", "{}")):
        refused(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    refused(other.ask("GET", "/guarded"), 404, "unknown_lock")


def test_with_a_status_token_only_its_bearers_see_who_holds(stage):
    broker, gateway, locks = play(stage, status_token=STATUS)
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


def test_the_token_is_read_again_at_sighup(stage):
    path = stage.path("settings", f"LOCKS_TOKEN={SECRET}\n")
    broker = stage.broker()
    gateway = stage.gateway(broker, flags=["--env-file", path])
    assert Locks(gateway).put("x", owner="a", ttl=30).status == 200
    stage.path("settings", "LOCKS_TOKEN=another\n")
    gateway.signal(signal.SIGHUP)
    refusal = pregon.eventually(lambda: Locks(gateway).put("x", owner="a", ttl=30),
                                lambda a: a.status != 200)
    refused(refusal, 401, "unauthorized")  # and no 503 in between
    assert Locks(gateway, {"Authorization": "Bearer another"}).put(
        "x", owner="a", ttl=30).status == 200


def test_no_log_holds_a_secret(stage):
    broker, gateway = stage.play(locks_token=SECRET, status_token=STATUS, log_level="trace")
    locks = Locks(gateway)
    token = locks.take("quiet", "a")
    locks.value("quiet", "a", token, b"a value of mine")
    locks.ask("PUT", f"/quiet?token={SECRET}", "{")
    Locks(gateway, {"Authorization": f"Bearer {SECRET}2"}).put("quiet", owner="a", ttl=30)
    gateway.get(LOCKS, headers={"Authorization": "Bearer " + STATUS})
    locks.release("quiet", "a", token)
    gateway.says(r'"DELETE /cotizaciones/locks/quiet\?owner=a&token=\*\*\* HTTP/1.1" 200')
    gateway.stop()
    broker.stop()
    for process in (gateway, broker):
        text = "\n".join(process.log())
        assert SECRET not in text and STATUS not in text and "a value of mine" not in text


# --- asked wrongly ------------------------------------------------------------------------

GOOD = '{"owner":"a","ttl":30}'
OBJECTS = {
    "": 0, "{": 1, "[1]": 0, "7": 0, '{"owner":"a"}': 0, '{"ttl":30}': 0,
    '{"owner":"a","ttl":"30"}': 19, '{"owner":"a","ttl":1e1}': 19, '{"owner":"a","ttl":0.9}': 19,
    '{"owner":"a","ttl":600.001}': 19, '{"owner":"a","ttl":30.0001}': 19,
    '{"owner":"a","ttl":30,"tll":1}': 22, '{"owner":"a b","ttl":30}': 9,
    '{"owner":"a","ttl":30,"ttl":30}': 22, '{"owner":7,"ttl":30}': 9,
    '{"owner":"a","ttl":30}x': 22, '{"owner":"\ud800","ttl":30}': 10,
    '{"owner":"a","token":-1}': 21, '{"owner":"a","token":"x"}': 21,
    '{"owner":"a","x":' + "[" * 9 + "]" * 9 + "}": 24,
    '{"owner":"a",' + " " * 1000 + "}": 1013,
}


@pytest.mark.parametrize("text", OBJECTS)
def test_a_body_that_is_wrong_is_refused_with_the_byte_where(locks, text):
    data = text.encode("utf-8", "surrogatepass")
    told = refused(locks.ask("PUT", "/wrong", data), 400, "bad_request")
    assert told["at"] == OBJECTS[text], told
    refused(locks.ask("GET", "/wrong"), 404, "unknown_lock")


WRONG = {
    "GET /": (200, None),
    "GET /unknown": (404, "unknown_lock"),
    "GET /unknown/": (404, "unknown_lock"),
    "GET /unknown/value": (404, "unknown_lock"),
    "GET /value": (404, "unknown_lock"),
    "GET /value/value": (404, "unknown_lock"),
    "GET //value": (400, "bad_name"),
    "GET /a/b": (400, "bad_name"),
    "GET /a%2Fb": (400, "bad_name"),
    "GET /a%20b": (400, "bad_name"),
    "GET /a%00b": (400, "bad_request"),
    "GET /" + "a" * 64: (404, "unknown_lock"),
    "GET /" + "a" * 65: (400, "bad_name"),
    "PUT /a/b/value": (400, "bad_name"),
    "DELETE /a": (400, "bad_request"),
    "DELETE /a?owner=x": (400, "bad_request"),
    "DELETE /a?token=7": (400, "bad_request"),
    "DELETE /a?owner=x&token=0": (400, "bad_request"),
    "DELETE /a?owner=x&token=-1": (400, "bad_request"),
    "DELETE /a?owner=x&token=18446744073709551616": (400, "bad_request"),
    "DELETE /a?owner=x%20y&token=7": (400, "bad_request"),
    "DELETE /a?owner=" + "x" * 129 + "&token=7": (400, "bad_request"),
    "DELETE /a?owner=" + "x" * 128 + "&token=18446744073709551615": (404, "unknown_lock"),
    "DELETE /a?break=1": (400, "bad_request"),
    "DELETE /a?break=2&token=7": (400, "bad_request"),
    "DELETE /a?break=1&token=7&reason=" + "x" * 201: (400, "bad_request"),
    "DELETE /a?break=1&token=7": (404, "unknown_lock"),
    "PUT /a/value?owner=x": (400, "bad_request"),
    "GET ?limit=1001": (400, "bad_request"),
    "GET ?offset=x": (400, "bad_request"),
    "GET ?prefix=a%20b": (400, "bad_request"),
    "POST /a": (405, "GET, HEAD, PUT, DELETE"),
    "PATCH /a": (405, "GET, HEAD, PUT, DELETE"),
    "OPTIONS /a": (405, "GET, HEAD, PUT, DELETE"),
    "DELETE /a/value": (405, "GET, HEAD, PUT"),
    "POST /a/value": (405, "GET, HEAD, PUT"),
    "PUT ": (405, "GET, HEAD"),
    "DELETE /": (405, "GET, HEAD"),
}


@pytest.mark.parametrize("line", WRONG)
def test_a_path_or_a_parameter_that_is_wrong_is_refused_by_name(locks, line):
    method, path = line.split(" ")
    status, code = WRONG[line]
    answer = locks.ask(method, path)
    if status == 405:
        refused(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == code
    elif status == 200:
        assert answer.status == 200
    else:
        refused(answer, status, code)


def test_the_brokers_own_bounds_are_told(stage):
    broker = stage.broker(lock_ttl_max=20, lock_delay_max=5, lock_count_max=2)
    locks = Locks(stage.gateway(broker, locks_token=SECRET))
    told = refused(locks.put("a", owner="a", ttl=30), 400, "bad_request")
    assert "LOCK_TTL_MAX" in told["error"]["message"]
    refused(locks.put("a", owner="a", ttl=20, lock_delay=6), 400, "bad_request")
    for name in ("a", "b"):
        locks.take(name, "a", ttl=20)
    refused(locks.put("c", owner="a", ttl=20), 503, "full")


# --- bodies nobody sane sends ------------------------------------------------------------------------

HEAD = f"PUT {LOCKS}/hostile HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n"


def raw(gateway, text, *pieces):
    sock = pregon.connect(gateway)
    sock.sendall(text.encode("latin-1") if isinstance(text, str) else text)
    for piece in pieces:
        sock.sendall(piece)
    return sock


GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"

HOSTILE = {
    "no length": ("", b"", 411, "length_required"),
    "chunks": ("Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n", 411, "length_required"),
    "chunks and a length": (
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", b"{}", 400, "bad_request"),
    "a length with a tail": ("Content-Length: 2x\r\n", b"{}", 400, "bad_request"),
    "a length with a sign": ("Content-Length: +2\r\n", b"{}", 400, "bad_request"),
    "two lengths": ("Content-Length: 2\r\nContent-Length: 3\r\n", b"{}x", 400, "bad_request"),
    "a length beyond 64 bits": (
        "Content-Length: 99999999999999999999\r\n", b"{}", 400, "bad_request"),
    "one byte too many": ("Content-Length: 16385\r\n", b" " * 16385, 413, "too_large"),
    "a terabyte, begun": (
        "Content-Length: 1099511627776\r\n", b" " * 1048576, 413, "too_large"),
    "nothing but spaces": ("Content-Length: 16384\r\n", b" " * 16384, 400, "bad_request"),
    "a deep one": ("Content-Length: 16384\r\n", b"[" * 16384, 400, "bad_request"),
    "zeros": ("Content-Length: 16384\r\n", bytes(16384), 400, "bad_request"),
    "one long number": ("Content-Length: 16384\r\n", b"1" * 16384, 400, "bad_request"),
    "many members": ("Content-Length: 16384\r\n",
                     b"{" + b",".join(b'"%06d":0' % i for i in range(1489)) + b"}" + b" " * 4,
                     400, "bad_request"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_body_is_refused_and_the_answer_arrives(locks, kind):
    headers, body, status, code = HOSTILE[kind]
    answer = pregon.read_answer(raw(locks.gateway, HEAD + headers + "\r\n", body))
    refused(answer, status, code)
    assert locks.gateway.get("/cotizaciones/live").status == 200


def test_a_large_body_is_not_waited_for_where_nobody_wants_one(locks):
    for path in ("/cotizaciones/health", LOCKS, "/nothing", LOCKS + "/x"):
        sock = raw(locks.gateway,
                   f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", bytes(65536))
        answer = pregon.read_answer(sock)
        assert answer.status in (401, 404, 405)
        answer.json()


def test_a_body_may_come_in_pieces_and_a_client_may_ask_before_it_sends(locks):
    body = GOOD.encode()
    sock = raw(locks.gateway, HEAD + f"Content-Length: {len(body)}\r\n\r\n{GOOD[:3]}")
    for byte in body[3:]:
        sock.sendall(bytes([byte]))
    assert pregon.read_answer(sock).status == 200

    sock = raw(locks.gateway,
               HEAD + f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n")
    assert sock.recv(len(GO_ON), socket.MSG_WAITALL) == GO_ON
    sock.sendall(body)
    assert pregon.read_answer(sock).status == 200

    sock = raw(locks.gateway, HEAD + "Content-Length: 99999\r\nExpect: 100-continue\r\n\r\n")
    refused(pregon.read_answer(sock), 413, "too_large")  # and not asked for it first


def test_a_body_that_never_ends_is_given_up(locks):
    stalled = raw(locks.gateway, HEAD + "Content-Length: 22\r\n\r\n" + GOOD[:10])
    trickling = raw(locks.gateway, HEAD + "Content-Length: 16384\r\n\r\n")
    trickling.settimeout(0.1)
    sent, head = 0, b""
    while sent < 16384 and not head:
        trickling.sendall(b" ")
        sent += 1
        try:
            head = trickling.recv(12)
        except TimeoutError:
            pass
    assert head == b"HTTP/1.1 408"
    refused(pregon.read_answer(stalled), 408, "timed_out")
    cut = raw(locks.gateway, HEAD + "Content-Length: 22\r\n\r\n" + GOOD[:10])
    cut.shutdown(socket.SHUT_WR)
    refused(pregon.read_answer(cut), 400, "bad_request")


def test_bodies_that_never_come_do_not_hold_the_threads(stage):
    broker, gateway, locks = play(stage, http_threads=4)
    sockets = [raw(gateway, HEAD + "Content-Length: 22\r\n\r\n") for _ in range(4)]
    assert gateway.get("/cotizaciones/live").status == 200
    for sock in sockets:
        sock.close()


def trickle(sock, is_over):
    """A byte now and then, whatever the answer."""
    while not is_over.wait(0.1):
        try:
            sock.sendall(b" ")
        except ConnectionError:
            break
    sock.close()


def test_a_body_that_nobody_wants_does_not_hold_a_thread_however_it_trickles(stage):
    broker, gateway, locks = play(stage, http_threads=4)
    is_over = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        try:
            for _ in range(4):
                pool.submit(trickle, raw(
                    gateway, f"PUT {LOCKS}/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n"),
                    is_over)
            gateway.says("401", stream="out")
            assert gateway.get("/cotizaciones/live").status == 200
        finally:
            is_over.set()


def test_a_gateway_that_stops_does_not_wait_for_a_body(stage):
    broker, gateway, locks = play(stage)
    sock = raw(gateway, HEAD + "Content-Length: 22\r\nExpect: 100-continue\r\n\r\n")
    assert sock.recv(len(GO_ON), socket.MSG_WAITALL) == GO_ON
    gateway.signal(signal.SIGTERM)
    refused(pregon.read_answer(sock), 503, "draining")
    gateway.ends()


# --- the broker away ------------------------------------------------------------------------


def test_an_answer_that_was_lost_is_told_and_asking_again_is_the_same_grant(stage):
    broker, gateway, locks = play(stage)
    broker.signal(signal.SIGSTOP)
    told = refused(locks.put("once", owner="a", ttl=30), 503, "broker_away")
    assert "same owner" in told["error"]["hint"]
    broker.signal(signal.SIGCONT)
    token = pregon.eventually(lambda: locks.put("once", owner="a", ttl=30),
                              lambda a: a.status == 200).json()["token"]
    assert locks.look("once")["token"] == token
    assert locks.take("once", "a") == token


def test_a_broker_killed_before_it_answers_costs_a_503_and_then_all_goes_on(stage):
    broker, gateway, locks = play(stage)
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
    assert (status.status, status.json()["status"], status.json()["locks"]) == (503, "unknown", None)
    broker.start()
    after = pregon.eventually(lambda: locks.put("killed", owner="c", ttl=30),
                              lambda a: a.status != 503)
    if after.status == 409:  # b's question was still on its way
        assert after.json()["holder"]["owner"] == "b"
    seen = pregon.eventually(lambda: locks.ask("GET", "/killed"), lambda a: a.status == 200)
    assert seen.json()["token"] > before


def test_with_a_file_grants_and_values_outlive_a_killed_broker(stage):
    broker = stage.broker(store="sqlite:" + stage.path("log.db"))
    gateway = stage.gateway(broker, locks_token=SECRET)
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
    value = locks.ask("GET", "/kept/value")
    assert (value.body, value.headers["X-Lock-Version"]) == (b"\0update 7", "1")
    assert locks.take("gone", "b") > token


def test_what_the_disk_does_not_take_is_told_and_renewals_go_on(stage):
    broker = stage.broker(store="sqlite:" + stage.path("log.db"))
    gateway = stage.gateway(broker, locks_token=SECRET)
    locks = Locks(gateway)
    token = locks.take("telegram-bot", "a")
    file = stage.path("log.db-locks")
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


def test_with_the_broker_away_every_route_says_so_and_none_says_free(stage):
    gateway = stage.gateway(locks_token=SECRET)
    locks = Locks(gateway)
    for answer in (locks.put("x", owner="a", ttl=30), locks.put("x", owner="a", token=7),
                   locks.release("x", "a", 7), locks.shatter("x", 7),
                   locks.value("x", "a", 7, b"x"), locks.ask("GET", "/x"),
                   locks.ask("GET", "/x/value"), locks.ask("GET", "")):
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
def test_a_broker_that_answers_oddly_or_cannot_store_is_never_taken_for_a_grant(stage, kind):
    fake = FakeBroker(stage)
    gateway = stage.gateway(fake, locks_token=SECRET)
    locks = Locks(gateway)
    for op in ("lock", "renew", "release", "lock_break", "value_put", "value_get", "locks"):
        fake.answers[op] = lambda q: ODD[kind]
    code = {"not now": "busy", "not stored": "not_stored"}.get(kind, "bad_answer")
    for answer in (locks.put("x", owner="a", ttl=30), locks.put("x", owner="a", token=7),
                   locks.release("x", "a", 7), locks.shatter("x", 7),
                   locks.value("x", "a", 7, b"x"), locks.ask("GET", "/x/value"),
                   locks.ask("GET", "")):
        if kind == "lists that are none" and answer.status in (200, 404):
            continue
        refused(answer, 503, code)
    status = gateway.page("telegram_locks_status")
    assert (status["status"], status["locks"]) == ("unknown", None)


# --- pages from elsewhere ------------------------------------------------------------------------


def preflight(gateway, method, headers="Authorization, Content-Type"):
    return gateway.get(LOCKS + "/page", "OPTIONS", {
        "Origin": OURS, "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers})


def test_a_page_may_change_locks_only_where_the_settings_let_it(stage):
    broker, gateway = stage.play(locks_token=SECRET)
    answer = preflight(gateway, "PUT")
    assert (answer.status, answer.body) == (400, b"Disallowed CORS method, headers")

    open_gateway = stage.gateway(broker, locks_token=SECRET, cors_allow_methods="GET,PUT,DELETE",
                                 cors_allow_headers="Authorization",
                                 cors_expose_headers="X-Lock-Version,X-Lock-Token")
    for method in ("PUT", "DELETE"):
        answer = preflight(open_gateway, method)
        assert (answer.status, answer.body) == (200, b"OK")
        assert method in answer.headers["Access-Control-Allow-Methods"]
        assert answer.headers["Access-Control-Allow-Origin"] == OURS
    page = Locks(open_gateway, {**BEARER, "Origin": OURS})
    token = page.take("page", "a")
    for answer in (page.put("page", owner="b", ttl=30), page.value("page", "a", token, b"x"),
                   page.ask("GET", "/page/value"), page.release("page", "a", token)):
        assert answer.headers["Access-Control-Allow-Origin"] == OURS
        assert answer.headers["Vary"] == "Origin"
        assert "X-Lock-Version" in answer.headers["Access-Control-Expose-Headers"]


def test_head_answers_as_get_without_the_body(locks):
    locks.take("head", "a")
    for path, status in (("", 200), ("/head", 200), ("/none", 404), ("/head/value", 404)):
        got, head = locks.ask("GET", path), locks.ask("HEAD", path)
        assert (got.status, head.status, head.body) == (status, status, b"")
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert re.fullmatch(r"\d+", head.headers["Content-Length"])
