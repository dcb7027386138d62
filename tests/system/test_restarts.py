"""Any program may stop, crash or hang at any moment: the others continue, and it recovers."""

import itertools
import json
import signal
import time

import msgpack
import pytest

import pregon
from fake_broker import FakeBroker

SYMBOLS = 3


def all_programs(system, **settings):
    """All three programs, quotes that do not end, and a client."""
    broker = system.broker()
    gateway = system.gateway(broker, heartbeat=1, **settings)
    feeder = system.feeder(broker, f"sim:{SYMBOLS}", feed="test", rate=100)
    client = system.client(gateway)
    client.wait_until(
        lambda heard: len({m["symbol"] for m in heard if m["type"] == "quote"}) == SYMBOLS,
        "a quote of every symbol",
    )
    return broker, gateway, feeder, client


def flows(client):
    """Quotes arrive: more than may still have been on their way."""
    for _ in range(20):
        client.receive("quote")


def check_pages_tell_the_truth(gateway, connections, gateways=(1,)):
    health = pregon.eventually(lambda: gateway.get("/cotizaciones/health"),
                               lambda a: a.status == 200, "health")
    told = health.json()
    assert (told["status"], told["broker"]["status"]) == ("ok", "up")
    assert [(f["name"], f["status"]) for f in told["feeds"]] == [("test", "live")]
    status = pregon.eventually(
        gateway.status,
        lambda s: (s["complete"] and s["active_connections"] == connections
                   and len(s["gateways"]) in gateways),
        "the count of connections, from the broker",
    )
    assert len(status["connections"]) == connections
    quotes = gateway.page("quotes")
    assert quotes["complete"] is True
    assert quotes["symbols"] == SYMBOLS == len(quotes["quotes"])
    assert {q["state"] for q in quotes["quotes"]} == {"live"}
    assert gateway.get("/cotizaciones/ready").status == 200


def end(process, how):
    """By SIGTERM or SIGKILL."""
    process.stop() if how == "SIGTERM" else process.kill()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_broker_that_comes_back_finds_clients_reset_and_goes_on(system, how):
    broker, gateway, feeder, client = all_programs(system)
    old = client.received("welcome")[0]["epoch"]
    flows(client)

    end(broker, how)
    for _ in range(SYMBOLS):
        client.receive("state", state="stale")
    assert {q["state"] for q in gateway.page("quotes")["quotes"]} == {"stale"}
    assert client.request("ping")["type"] == "ack"
    told = len(client.messages)
    broker.start()

    reset = client.receive("reset")
    assert reset["epoch"] != old
    assert reset["reason"] == "log_replaced"
    flows(client)
    assert feeder.is_running and gateway.is_running
    after = client.messages[told:]
    assert [m["type"] for m in after].count("reset") == 1
    before = after[: after.index(reset)]
    assert not [m for m in before if m["type"] == "quote"], "a new quote before the reset"
    check_pages_tell_the_truth(gateway, 1)
    assert client.request("list")["symbols"] == ["*"]


@pytest.mark.parametrize("mode", ["merge", "all"])
def test_after_a_reset_the_first_message_of_a_symbol_is_its_snapshot(system, mode):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    client = system.client(gateway, f"?symbols=*&mode={mode}")
    client.receive("ack")
    for symbol in "XYZ":
        fake.quote(symbol, last="1", n=0)
        client.receive("quote", symbol=symbol)

    with fake.changed:
        fake.begin_new_log()
        for symbol in "XYZ":
            fake.quote(symbol, last="2", n=1, is_lost=True)  # before the gateway listened
            fake.quote(symbol, last="2", n=2)  # and before the gateway has requested anything
    reset = client.receive("reset")
    for symbol in "XYZ":
        client.receive("snapshot", symbol=symbol, n=2)
    for symbol in "XYZ":
        fake.quote(symbol, last="3", n=3)
    client.wait_until(lambda heard: sum(m.get("n") == 3 for m in heard) == 3, "the last quotes")
    after = client.messages[client.messages.index(reset) :]
    for symbol in "XYZ":
        told = [m for m in after if m.get("symbol") == symbol and m["type"] != "state"]
        assert told[0]["type"] == "snapshot", f"{told[0]} is no beginning"
        assert [m["n"] for m in told] == sorted({m["n"] for m in told})
        if mode == "all":
            assert {m["n"] for m in told} == {2, 3}


def test_after_a_reset_mode_all_begins_with_snapshots_in_the_order_of_their_positions(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    client = system.client(gateway, "?symbols=*&mode=all")
    client.receive("ack")
    for symbol in "XYZ":
        fake.quote(symbol, last="1", n=0)
        client.receive("quote", symbol=symbol)

    with fake.changed:  # its book has them in the order Z, Y, W, X
        fake.begin_new_log()
        for symbol in "ZYWXYZWZ":
            fake.quote(symbol, last="1", n=1, is_lost=True)
        fake.quote("Y", last="1", n=2)  # at 9, before the gateway has requested anything
    client.receive("reset")
    for symbol in "XWZY":
        client.receive("snapshot", symbol=symbol)
    for symbol in "YX":
        fake.quote(symbol, last="3", n=3)
    client.receive("quote", symbol="X", n=3)
    after = client.messages[client.messages.index(client.received("reset")[0]) :]
    told = [(m["type"], m["symbol"], m["seq"]) for m in after if "symbol" in m]
    assert told == [("snapshot", "X", 4), ("snapshot", "W", 7), ("snapshot", "Z", 8),
                    ("snapshot", "Y", 9), ("quote", "Y", 10), ("quote", "X", 11)]
    assert client.request("list")["symbols"] == ["*"]


def test_after_a_reset_nothing_of_the_old_log_follows_to_one_that_was_catching_up(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    other = system.client(gateway, "?symbols=Y")
    epoch = other.receive("ack")["epoch"]
    for n in range(1500):
        fake.quote("X", last="1", n=n, note="x" * 1000, is_lost=True)
    slow = system.raw_client(gateway, f"?symbols=X&mode=all&since={epoch}:1", receive_buffer=4096)
    assert slow.receive("ack")["recovered"] is True
    fake.begin_new_log()
    fake.quote("X", last="1", n=5000)
    other.receive("reset")

    slow.receive("reset")
    before = len(slow.messages)
    slow.receive("snapshot", n=5000)
    assert not [m for m in slow.messages[before:] if m["type"] == "quote"]


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_gateway_that_comes_back_serves_at_its_old_address(system, how):
    broker, gateway, feeder, client = all_programs(system)
    other = system.gateway(broker)
    stays = system.client(other)

    end(gateway, how)
    assert client.wait_closed()[0] == (1012 if how == "SIGTERM" else 1006)
    flows(stays)
    gateway.start()

    flows(system.client(gateway))
    stays.close()
    other.stop()
    check_pages_tell_the_truth(gateway, 1)
    assert broker.is_running and feeder.is_running


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_feeder_that_comes_back_gets_its_name_again_and_its_symbols_live(system, how):
    broker, gateway, feeder, client = all_programs(system)
    end(feeder, how)
    for _ in range(SYMBOLS):
        client.receive("state", state="stale")
    health = gateway.get("/cotizaciones/health")
    assert (health.status, health.json()["feeds"][0]["status"]) == (
        503, "silent" if how == "SIGKILL" else "ended")

    feeder.start()

    flows(client)
    check_pages_tell_the_truth(gateway, 1)
    assert len({(m["epoch"]) for m in client.received("welcome")} | {
        m["epoch"] for m in client.received("reset")}) == 1


@pytest.mark.parametrize("order", ["gateway feeder broker", "feeder broker gateway",
                                   "gateway broker feeder"])
def test_the_programs_start_in_any_order(system, order):
    broker_at = {f"broker_{key}": pregon.free_address() for key in ("ingest", "publish", "control")}
    where = {
        "broker": ("broker", broker_at),
        "gateway": ("gateway", {"port": 0, "heartbeat": 1, "broker_publish": broker_at[
            "broker_publish"], "broker_control": broker_at["broker_control"]}),
        "feeder": ("feeder", {"source": f"sim:{SYMBOLS}", "feed": "test", "rate": 100,
                              "broker_ingest": broker_at["broker_ingest"],
                              "broker_control": broker_at["broker_control"]}),
    }
    started = {}
    for name in order.split():
        started[name] = system.process(*where[name], wait=False)
        if name != order.split()[-1]:
            # it runs, and waits for the programs that start later
            started[name].wait_for_log(r"^\w+: ")
    for process in started.values():
        process.wait_ready()
    gateway = started["gateway"]
    pregon.eventually(lambda: gateway.get("/cotizaciones/ready").status, lambda s: s == 200)
    flows(system.client(gateway))
    check_pages_tell_the_truth(gateway, 1)


@pytest.mark.parametrize("victims", [("broker", "feeder"), ("feeder", "broker"),
                                     ("gateway", "broker"), ("gateway", "feeder")], ids="+".join)
def test_two_killed_at_once_come_back_in_either_order(system, victims):
    broker, gateway, feeder, client = all_programs(system)
    named = {"broker": broker, "gateway": gateway, "feeder": feeder}
    for name in victims:
        named[name].kill()
    for name in victims:
        named[name].start(wait=False)
    for name in victims:
        named[name].wait_ready()
    if "gateway" in victims:
        assert client.wait_closed()[0] == 1006
        pregon.eventually(lambda: gateway.get("/cotizaciones/ready").status, lambda s: s == 200)
        client = system.client(gateway)
    else:
        client.receive("reset")
    flows(client)
    # the broker may not have dropped a killed gateway yet
    check_pages_tell_the_truth(gateway, 1, (1, 2))


# --- going away -------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["SIGTERM", "SIGINT"])
def test_a_gateway_tells_its_clients_when_to_reconnect_before_it_ends(system, which):
    broker, gateway = system.start(handshake_rate=100)
    clients = [system.client(gateway, "?symbols=X") for _ in range(10)]
    packed = system.client(gateway, "?symbols=X", subprotocol="pregon.v1.msgpack")
    for client in clients + [packed]:
        client.receive("ack")

    gateway.signal(getattr(signal, which))

    times = set()
    for client in clients + [packed]:
        away = client.receive("going_away")
        assert set(away) == {"type", "reason", "reconnect_after"}
        assert away["reason"] == "restart"
        assert 0 < away["reconnect_after"] <= 10
        times.add(away["reconnect_after"])
        assert client.wait_closed() == (1012, '{"code":"restart"}')
        assert client.messages[-1] is away
    assert len(times) > 5, "everyone would come back at once"
    gateway.wait_for_exit(0)
    assert gateway.logged("^INFO: +Shutting down$")
    assert gateway.logged(r"^INFO: +Finished pregon-gateway \[\d+\]$")
    broker.wait_for_log("gateway .* says goodbye")


def test_a_second_signal_ends_a_gateway_at_once(system):
    broker, gateway = system.start(timeout_graceful_shutdown=600)
    mute = system.raw_client(gateway)
    deaf = system.raw_client(gateway, receive_buffer=4096)
    mute.receive("welcome"), deaf.receive("welcome")
    gateway.signal(signal.SIGTERM)
    mute.receive("going_away")
    gateway.signal(signal.SIGTERM)
    gateway.wait_for_exit(1)


def test_a_client_that_does_not_answer_the_close_holds_the_gateway_up_for_a_moment_only(system):
    broker, gateway = system.start(timeout_graceful_shutdown=600)
    mute = system.raw_client(gateway)
    mute.receive("welcome")
    gateway.signal(signal.SIGTERM)
    mute.receive("going_away")
    gateway.wait_for_exit(0)


def test_a_feeder_that_cannot_deliver_waits_until_the_second_signal(system):
    broker = system.broker()
    feeder = system.feeder(broker, "-", timeout_graceful_shutdown=600)
    feeder.write('{"symbol":"X","last":"1"}\n')
    pregon.eventually(lambda: system.control(broker).request("status")["seq"], lambda n: n == 1)
    broker.kill()
    feeder.write('{"symbol":"X","last":"2"}\n' * 10)
    here = feeder.log_position()
    feeder.signal(signal.SIGTERM)
    feeder.wait_for_log("", after=here)
    assert feeder.is_running
    feeder.signal(signal.SIGTERM)
    feeder.wait_for_exit(1)


@pytest.mark.parametrize("which", ["SIGTERM", "SIGINT"])
def test_a_program_asked_to_stop_ends_with_0(system, which):
    broker = system.broker()
    alone = system.gateway(wait=False)
    alone.wait_for_log("running on")
    gateway = system.gateway(broker)
    feeder = system.feeder(broker, "sim:2")
    for process in (feeder, gateway, alone, broker):
        process.signal(getattr(signal, which))
        process.wait_for_exit(0)
        assert process.log("err")[-1].startswith("INFO: ")


# --- hanging ----------------------------------------------------------------------------


def test_a_broker_that_hangs_for_a_while_is_the_same_broker_afterwards(system):
    broker, gateway, feeder, client = all_programs(system)
    broker.signal(signal.SIGSTOP)
    for _ in range(SYMBOLS):  # over three seconds of silence
        client.receive("state", state="stale")
    assert gateway.get("/cotizaciones/health").status == 503
    here = broker.log_position()
    broker.signal(signal.SIGCONT)
    flows(client)
    check_pages_tell_the_truth(gateway, 1)
    assert not client.received("reset")
    assert not [t for t in broker.log()[here:] if "is silent" in t], "it judged before it listened"


def test_a_gateway_that_hangs_for_a_while_loses_its_connections_on_paper_only(system):
    broker, gateway, feeder, client = all_programs(system)
    check_pages_tell_the_truth(gateway, 1)
    gateway.signal(signal.SIGSTOP)
    broker.wait_for_log("gateway .* is silent: 1 connections are gone")
    control = system.control(broker)
    assert control.request("connections")["total"] == 0
    gateway.signal(signal.SIGCONT)
    flows(client)
    check_pages_tell_the_truth(gateway, 1)
    assert not client.received("reset")


def test_a_feeder_that_hangs_for_a_while_goes_on_with_its_next_line(system):
    broker, gateway, feeder, client = all_programs(system)
    feeder.signal(signal.SIGSTOP)
    for _ in range(SYMBOLS):
        client.receive("state", state="stale")
    feeder.signal(signal.SIGCONT)
    flows(client)
    check_pages_tell_the_truth(gateway, 1)
    assert gateway.page("health")["feeds"][0]["lost"] == 0


# --- losses -----------------------------------------------------------------------------


def chain(client, symbol, count):
    """The client's quotes up to n=count; each must have the position of the previous one."""
    client.receive(("quote", "snapshot"), symbol=symbol, n=count)
    quotes = [m for m in client.messages if m.get("symbol") == symbol]
    assert [(q["type"], q["n"]) for q in quotes] == [("quote", n) for n in range(1, count + 1)]
    for before, after in itertools.pairwise(quotes):
        assert after["prev"] == before["seq"]


@pytest.mark.parametrize("pattern", ["X", "X*", "*"])
@pytest.mark.parametrize("lost", [{2}, {2, 3, 4}, {5}, {2, 5}, {1}, {1, 2, 3, 4, 5}], ids=str)
def test_in_mode_all_the_chain_is_whole_whichever_records_a_gateway_misses(system, pattern, lost):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    every = system.client(gateway, f"?symbols={pattern}&mode=all")
    newest = system.client(gateway, f"?symbols={pattern}")
    every.receive("ack"), newest.receive("ack")

    for n in range(1, 6):
        fake.quote("X", n=n, last="1", is_lost=n in lost)
        fake.quote("XY", n=n, last="1")

    chain(every, "X", 5)
    newest.receive(("quote", "snapshot"), symbol="X", n=5)
    fake.quote("X", n=6, last="1")
    chain(every, "X", 6)
    newest.receive("quote", symbol="X", n=6)


@pytest.mark.parametrize("pattern", ["X", "X*"])
def test_in_mode_all_the_chain_is_whole_when_heartbeats_are_missed_too(system, pattern):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    every = system.client(gateway, f"?symbols={pattern}&mode=all")
    every.receive("ack")
    fake.heartbeat()
    fake.quote("X", n=1, last="1")
    every.receive("quote", n=1)
    with fake.changed:
        for n in range(2, 5):
            fake.quote("X", n=n, last="1", is_lost=True)
        fake.changed_symbols.clear()  # named only in heartbeats that never arrived
        fake.heartbeats += 3
    chain(every, "X", 4)


def test_lines_that_are_lost_on_the_way_are_requested_and_published_in_order(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=X&mode=all")
    client.receive("ack")

    def swallow(**fields):
        with feed.changed:
            feed.lines.append((b"X ", {"timestamp": time.time(), **fields}))

    feed.quote("X", last="1", n=1)
    swallow(last="1", n=2)
    feed.quote("X", last="1", n=3)
    feed.wait_processed()
    assert feed.resent == 1
    swallow(last="1", n=4)  # the last one: only a heartbeat names it
    feed.wait_processed()
    assert feed.resent == 2
    for n in range(5, 200):
        swallow(last="1", n=n) if n % 7 == 0 else feed.quote("X", last="1", n=n)
    feed.wait_processed()
    chain(client, "X", 199)
    (row,) = system.control(broker).request("status")["feeds"]
    assert (row["received"], row["accepted"], row["lost"]) == (199, 199, 0)


def test_lines_that_cannot_be_sent_again_are_named_as_lost_and_the_rest_goes_on(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=X&mode=all")
    client.receive("ack")
    feed.quote("X", last="1", n=1)
    feed.wait_processed()

    def take(message, take=feed._take):
        if message.get("op") == "resend" and message["from"] < 5:
            feed.control.send(msgpack.packb({
                "op": "lost", "id": 7, "epoch": feed.epoch, "first": message["from"], "last": 4,
                "reason": "ring_overflow"}))
        else:
            take(message)

    with feed.changed:
        feed._take = take
        for n in (2, 3, 4):
            feed.lines.append((b"X ", {"last": "1"}))
        feed.quote("X", last="1", n=5)
    lost = client.receive("lost")
    assert (lost["feed"], lost["first"], lost["last"], lost["count"]) == ("feed", 2, 4, 3)
    client.receive("quote", n=5)
    assert json.loads(gateway.get("/cotizaciones/health").body)["feeds"][0]["lost"] == 3


def test_a_loss_in_a_new_log_is_reported_though_its_position_is_lower(system):
    broker, gateway = system.start()
    clients = [system.client(gateway, f"?symbols=X&mode={mode}") for mode in ("all", "merge")]
    for life, before in enumerate((50, 1)):
        feed = system.feed(broker, name=f"feed-{life}")
        for n in range(before):
            feed.quote("X", last=str(n))
        feed.wait_processed()
        with feed.changed:
            feed.control.send(msgpack.packb({"op": "lost", "id": 5, "epoch": feed.epoch,
                                             "first": before + 1, "last": before + 4,
                                             "reason": "ring_overflow"}))
        for client in clients:
            assert client.receive("lost", feed=f"feed-{life}")["seq"] == before + 1
        feed.close()
        if not life:
            broker.kill()
            broker.start()
            for client in clients:
                client.receive("reset")
