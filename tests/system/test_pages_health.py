"""The health routes while a broker, a feed or the store is away, wrong or slow."""

import time

import pregon
from fake_broker import FakeBroker
from page_shapes import check, is_age, is_count, is_epoch, is_text, is_time


def test_with_the_broker_away_the_routes_report_it_and_return_what_they_have(system):
    broker, gateway = system.start(gateway_name="gw-1", websocket_max_connections=9)
    feed = system.feed(broker)
    for symbol in ("X", "Y"):
        feed.quote(symbol, last="1")
    clients = [system.client(gateway, "?symbols=X,Z") for _ in range(3)]
    for client in clients:
        client.receive("snapshot")
    pregon.eventually(gateway.status, lambda s: s["active_connections"] == 3)
    feed.fall_silent()
    broker.kill()
    clients[0].receive("state", state="stale")

    health = gateway.get("/cotizaciones/health")
    assert health.status == 503
    told = health.json()
    check(told["broker"], {"status": "away", "reason": is_text, "age": is_age, "epoch": is_epoch,
                           "seq": is_count, "gaps": 0})
    assert told["broker"]["age"] > 0
    assert (told["status"], told["feeds"]) == ("unhealthy", [])
    assert "broker" in told["reason"]
    assert "store" not in told

    locks = gateway.get("/cotizaciones/telegram_locks_status")
    assert locks.status == 503
    check(locks.json(), {"status": "unknown", "reason": is_text, "locks": None,
                         "timestamp": is_time})

    quotes = gateway.page("quotes")
    assert (quotes["complete"], quotes["truncated"]) == (False, False)
    assert [(q["symbol"], q["state"], q["last"]) for q in quotes["quotes"]] == [
        ("X", "stale", "1")]
    assert gateway.page("quotes?symbols=Z,X*")["quotes"] == quotes["quotes"]
    assert gateway.page("quotes?symbols=Z")["quotes"] == []
    assert gateway.page("quotes/X")["state"] == "stale"
    for unknown in ("Y", "Z"):
        answer = gateway.get("/cotizaciones/quotes/" + unknown)
        assert (answer.status, answer.code) == (503, "broker_away")
        assert int(answer.headers["Retry-After"]) > 0

    status = gateway.status()
    assert (status["complete"], status["active_connections"]) == (False, 3)
    assert {c["port"] for c in status["connections"]} == {c.local_port for c in clients}
    assert [g["name"] for g in status["gateways"]] == ["gw-1"]
    page = gateway.page("websocket_status?limit=2&offset=2")
    assert (len(page["connections"]), page["truncated"]) == (1, False)
    assert len(gateway.page("websocket_status?limit=2&offset=1")["connections"]) == 2
    assert gateway.page("websocket_status?limit=0")["connections"] == []

    assert gateway.get("/cotizaciones/ready").status == 200
    assert gateway.get("/cotizaciones/live").status == 200


def test_a_gateway_that_never_reached_its_broker_reports_that_it_has_no_data(system):
    gateway = system.gateway()
    health = gateway.get("/cotizaciones/health")
    assert (health.status, health.json()["broker"]["status"]) == (503, "away")
    ready = gateway.get("/cotizaciones/ready")
    assert (ready.status, ready.code) == (503, "starting")
    assert int(ready.headers["Retry-After"]) > 0
    assert gateway.page("quotes")["quotes"] == []
    assert gateway.page("quotes")["complete"] is False
    assert gateway.get("/cotizaciones/quotes/X").code == "broker_away"
    assert gateway.status()["complete"] is False
    assert gateway.get("/cotizaciones/telegram_locks_status").status == 503


def test_health_names_the_reason_feed_by_feed(system):
    broker, gateway = system.start()
    answer = gateway.get("/cotizaciones/health")
    assert (answer.status, answer.json()["reason"]) == (503, "no feeder has ever connected")
    good, bad = system.feed(broker, "good"), system.feed(broker, "bad")
    bad.quote("X", last="1")
    bad.line(b"X ", {"last": "one"})
    bad.wait_processed()
    bad.goodbye()
    answer = pregon.eventually(lambda: gateway.page("health"),
                               lambda h: {f["status"] for f in h["feeds"]} == {"live", "ended"})
    assert answer["status"] == "ok"
    feeds = {f["name"]: f for f in answer["feeds"]}
    assert (feeds["good"]["status"], feeds["bad"]["status"]) == ("live", "ended")
    assert (feeds["bad"]["accepted"], feeds["bad"]["refused"]) == (1, 1)
    assert "stale" in feeds["bad"]["reason"]
    good.goodbye()
    pregon.eventually(lambda: gateway.get("/cotizaciones/health").status, lambda s: s == 503)


def test_health_does_not_say_that_quotes_flow_while_every_quote_is_refused(system):
    broker, gateway = system.start()
    late, other = system.feed(broker, "late"), None

    def future(n):
        for _ in range(n):
            late.quote("X", last="1", timestamp=time.time() + 3600)
        late.wait_processed()

    def told(status):
        answer = gateway.get("/cotizaciones/health")
        assert answer.status == status, answer.body
        return answer.json()

    assert told(200)["reason"] == "feeds are live, but no quote was accepted in the last 60 s"
    future(1)
    health = told(503)  # no quote was ever accepted
    assert health["status"] == "unhealthy" and "quotes flow" not in health["reason"]
    assert "late: timestamp lies in the future" in health["reason"]
    assert health["feeds"][0]["status"] == "live" and "refused" in health["feeds"][0]["reason"]
    late.quote("X", last="1")
    late.wait_processed()
    assert (told(200)["status"], told(200)["reason"]) == ("ok", "quotes flow")
    future(2)  # some bad ones among good ones
    assert told(200)["status"] == "ok" and told(200)["feeds"][0]["refused_in_row"] == 2
    future(1)
    assert told(503)["status"] == "unhealthy"
    other = system.feed(broker, "other")
    other.quote("Y", last="1")
    other.wait_processed()
    health = told(200)
    assert health["status"] == "degraded"
    assert health["reason"] == ("quotes flow, but every quote of 1 of 2 live feeds is refused "
                                "(late: timestamp lies in the future)")
    late.goodbye()
    assert pregon.eventually(lambda: told(200), lambda h: h["status"] == "ok")


STORE = {"kind": "sqlite", "durable": True, "reason": is_text, "stored": is_count,
         "first": is_count, "gaps": 0, "damaged": 0, "behind": is_age}


def test_health_reports_whether_quotes_are_stored(system):
    broker = system.broker(store="sqlite:" + system.path("pregon.db"))
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    for n in range(3):
        feed.quote("X", last="1", n=n)
    feed.wait_processed()
    health = pregon.eventually(lambda: gateway.page("health"),
                               lambda h: h["feeds"][0].get("stored") == 3, "all of it stored")
    assert (health["status"], health["reason"]) == ("ok", "quotes flow")
    check(health["store"], {**STORE, "stored": 3, "first": 1, "behind": 0.0})
    assert health["feeds"][0]["received"] == 3


def test_a_store_that_does_not_take_quotes_degrades_health_and_nothing_else(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    feed = {"name": "test", "live": True, "silent_ms": 40, "received": 9, "accepted": 8,
            "refused": 1, "lost": 0, "stored": 5}
    store = {"kind": "sqlite", "durable": False, "reason": 'disk "full"', "first": 3,
             "stored": 40, "gaps": 2, "behind_us": 12345678, "behind_max_us": 99}

    def look(status, **more):
        fake.answers["status"] = lambda q: {**fake.answer_status(q), "feeds": [feed], **more}
        answer = gateway.get("/cotizaciones/health")
        assert answer.status == status, answer.body
        return answer.json()

    told = look(200, store=store)
    assert told["status"] == "degraded"
    assert told["reason"] == 'quotes flow, but are not being stored: disk "full"'
    check(told["store"], {"kind": "sqlite", "durable": False, "reason": 'disk "full"',
                          "stored": 40, "first": 3, "gaps": 2, "damaged": 0, "behind": 12.345})
    assert (told["feeds"][0]["received"], told["feeds"][0]["stored"]) == (9, 5)
    assert gateway.get("/cotizaciones/ready").status == 200
    assert is_text(look(200, store={**store, "reason": ""})["store"]["reason"])

    assert look(200, store={**store, "durable": True, "reason": ""})["status"] == "ok"
    assert (
        look(200, store={"kind": "memory", "durable": False, "reason": "it is"})["status"] == "ok"
    )
    for older in ({}, {"store": None}, {"store": "sqlite"}, {"store": {}}):  # and odd ones
        told = look(200, **older)
        assert (told["status"], "stored" in told["feeds"][0]) == ("ok", False)
    feed["live"] = False
    # the worst fault is the reason; the store's state is reported all the same
    told = look(503, store=store)
    assert (told["status"], told["store"]["durable"]) == ("unhealthy", False)
    assert "silent" in told["reason"]


def test_busy_workers_are_reported_to_be_busy_and_serve_again(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake, http_threads=4)
    pregon.eventually(lambda: gateway.get("/cotizaciones/ready").status, lambda s: s == 200)
    fake.answers["status"] = lambda q: None
    asked = [system.connect(gateway) for _ in range(3)]
    for sock in asked:
        sock.sendall(b"GET /cotizaciones/health HTTP/1.1\r\nHost: x\r\n\r\n")
    answers = [pregon.read_answer(sock) for sock in asked]
    busy = [a for a in answers if "error" in a.json()]
    assert [(a.status, a.code) for a in busy] == [(503, "busy")]
    assert int(busy[0].headers["Retry-After"]) > 0
    assert gateway.get("/cotizaciones/ready").status == 200
