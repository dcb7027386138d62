"""monitoring/: each alert fires by the fault that it names, and panels show what is exported."""

import os
import re
import signal
import socket
import sqlite3
import time

import msgpack
import pytest

import pregon
import zmtp
from alert_rules import Recording, needs_promtool, panel_expressions, promtool, rules, RULES
from test_store_damage import PAGE, lived, log_pages, overwrite

FAULTS = {}  # alert -> (function that causes its fault, other alerts that may fire with it)


def fault_of(alert, may_fire=()):
    def add(function):
        FAULTS[alert] = function, {*may_fire}
        return function
    return add


def with_store(system, **settings):
    path = system.path("pregon.db")
    broker = system.broker(store=f"sqlite:{path}", **settings)
    return broker, system.gateway(broker), path


@fault_of("PregonGatewayDown")
def kill_a_gateway(system, recording):
    broker, first = system.start()
    second = system.gateway(broker)
    recording.healthy(first, second)
    second.kill()
    recording.scrape()


@fault_of("PregonBrokerDown")
def kill_the_broker(system, recording):
    broker, gateway = system.start()
    system.feed(broker).quote("X", last="1")
    recording.healthy(gateway)
    broker.kill()
    recording.scrape(("pregon_broker_up", 0))


@fault_of("PregonGatewayWithoutBroker")
def cut_one_gateway_from_the_broker(system, recording):
    broker, first = system.start()
    proxies = {key: system.proxy(broker.settings[key]) for key in
               ("broker_control", "broker_publish")}
    second = system.process("gateway", {"port": pregon.free_port(),
                                        **{key: p.address for key, p in proxies.items()}})
    recording.healthy(second, first)
    for proxy in proxies.values():
        proxy.close()
    recording.scrape(("pregon_broker_up", 0))


@fault_of("PregonGatewayBehind")
def cut_a_gateway_from_the_records(system, recording):
    broker = system.broker()
    records = system.proxy(broker.settings["broker_publish"])
    gateway = system.process("gateway", {"port": pregon.free_port(),
                                         "broker_control": broker.settings["broker_control"],
                                         "broker_publish": records.address})
    feed = system.feed(broker)
    recording.healthy(gateway)
    records.close()
    for n in range(10001):
        feed.quote("X", last=str(n + 1))
    feed.wait_processed()
    recording.scrape(("pregon_broker_position", 10001))


@fault_of("PregonProgramRestarts")
def kill_a_gateway_again_and_again(system, recording):
    _, gateway = system.start()
    recording.healthy(gateway)
    for _ in range(3):
        gateway.kill()
        gateway.start()
        recording.scrape(("pregon_broker_up", 1))


@fault_of("PregonFeedSilent")
def kill_a_feeder(system, recording):
    broker, gateway = system.start()
    feeder = system.feeder(broker, "-", feed="prices")
    recording.healthy(gateway, where=[("pregon_feed_live", "prices", 1)])
    feeder.kill()
    recording.scrape(("pregon_feed_live", "prices", 0))


def refused_again_and_again(system, recording, reason, **fields):
    broker, gateway = system.start()
    feed = system.feed(broker, "prices")
    recording.healthy(gateway, where=[("pregon_feed_live", "prices", 1)])
    for n in (1, 2):
        feed.quote("X", **fields)
        feed.wait_processed()
        recording.scrape(("pregon_feed_quotes_refused_total", "prices", reason, n))


@fault_of("PregonQuotesRefused")
def publish_quotes_with_a_wrong_price(system, recording):
    refused_again_and_again(system, recording, "bad_price", last="one")


@fault_of("PregonFeedClockAhead")
def publish_quotes_of_a_clock_that_is_an_hour_ahead(system, recording):
    refused_again_and_again(system, recording, "future", last="1", timestamp=time.time() + 3600)


@fault_of("PregonLinesLost")
def overflow_the_ring_of_a_feeder(system, recording):
    broker, gateway = system.start()
    feed = system.feed(broker, "prices")
    recording.healthy(gateway, where=[("pregon_feed_lines_lost_total", "prices", 0)])
    feed.control.send(msgpack.packb({"op": "lost", "id": 5, "epoch": feed.epoch, "first": 1,
                                     "last": 8, "reason": "ring_overflow"}))
    recording.scrape(("pregon_feed_lines_lost_total", "prices", 8))


def refuse_to_write(path):
    """Another program keeps the file locked: the broker can write nothing into it."""
    held = sqlite3.connect(path, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    return held


@fault_of("PregonStoreFailing")
def refuse_to_store_quotes(system, recording):
    broker, gateway, path = with_store(system)
    feed = system.feed(broker)
    recording.healthy(gateway, where=[("pregon_store_durable", 1)])
    held = refuse_to_write(path)
    feed.quote("X", last="1")
    feed.wait_processed()
    recording.scrape(("pregon_store_durable", 0))
    held.close()


# After two seconds of the same the store has failed.
@fault_of("PregonStoreLags", may_fire=["PregonStoreFailing"])
def store_quotes_slowly(system, recording):
    broker, gateway, path = with_store(system)
    feed = system.feed(broker)
    recording.healthy(gateway, where=[("pregon_store_lag_seconds", 0)])
    held = refuse_to_write(path)
    feed.quote("X", last="1")
    feed.wait_processed()
    recording.scrape(("pregon_store_lag_seconds", lambda lag: lag > 0))
    recording.scrape(("pregon_store_lag_seconds", lambda lag: lag > 1))
    held.close()


@fault_of("PregonLogIncomplete", may_fire=["PregonStoreFailing", "PregonStoreLags"])
def store_nothing_for_longer_than_the_ring_reaches_back(system, recording):
    broker, gateway, path = with_store(system, journal_bytes=1048576)
    feed = system.feed(broker)
    recording.healthy(gateway, where=[("pregon_store_gaps_total", 0)])
    held = refuse_to_write(path)
    for n in range(5500):  # more than the 32 MiB that wait for the disk outside the ring
        feed.quote("X", last=str(n + 1), note="x" * 7900)
    feed.wait_processed()
    held.close()
    recording.scrape(("pregon_store_gaps_total", lambda gaps: gaps > 0))


@fault_of("PregonStoreDamaged")
def damage_a_page_of_the_store(system, recording):
    path = system.path("pregon.db")
    broker, _ = lived(system, path)
    broker.start()
    gateway = system.gateway(broker)
    recording.healthy(gateway, where=[("pregon_store_damaged", 0)])
    broker.stop()
    page, first, _ = log_pages(path)[2]
    overwrite(path, page, b"\0" * PAGE)
    broker.start()
    recording.scrape(("pregon_broker_up", 1))
    gateway.page(f"quotes/X/history?limit=1000&order=oldest&since={first}")
    recording.scrape(("pregon_store_damaged", lambda n: n > 0))


@fault_of("PregonLocksNotStored")
def take_the_file_of_the_locks_away(system, recording):
    broker, gateway, path = with_store(system)
    locker = system.locker(broker, "x")
    locker.acquire("a", 60000)
    recording.healthy(gateway, where=[("pregon_locks_durable", 1), ("pregon_locks_held", 1)])
    os.rename(f"{path}-locks", f"{path}-locks.away")
    assert locker.lock("b")["error"] == "not_stored"
    recording.scrape(("pregon_locks_durable", 0))
    os.rename(f"{path}-locks.away", f"{path}-locks")


@fault_of("PregonDeliverySlow")
def suspend_a_gateway_while_quotes_come(system, recording):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=X")
    client.receive("ack")
    recording.healthy(gateway)
    for n in (1, 2):
        gateway.signal(signal.SIGSTOP)
        feed.quote("X", last=str(n))
        feed.wait_processed()
        accepted = time.time()
        pregon.eventually(time.time, lambda now: now > accepted + 0.2)
        gateway.signal(signal.SIGCONT)
        client.receive(("quote", "snapshot"), last=str(n))
        recording.scrape(("pregon_delivery_seconds_count", "accepted", n))


@fault_of("PregonHandshakesRefused")
def open_a_page_of_a_foreign_origin(system, recording):
    _, gateway = system.start()
    recording.healthy(gateway)
    for n in (1, 2):
        assert system.handshake(gateway, headers={"Origin": "https://evil.example"}).status == 403
        recording.scrape(("pregon_refusals_total", "origin_not_allowed", n))


@fault_of("PregonPlacesLow")
def connect_as_many_clients_as_there_are_places(system, recording):
    _, gateway = system.start(websocket_max_connections=5)
    recording.healthy(gateway)
    clients = [system.client(gateway) for _ in range(5)]
    assert all(client.receive("welcome") for client in clients)
    recording.scrape(("pregon_clients", "merge", "json", 5))


@fault_of("PregonDescriptorsLow")
def connect_as_many_peers_as_the_broker_has_descriptors(system, recording):
    broker = system.broker(descriptors=128)
    gateway = system.gateway(broker)
    recording.healthy(gateway)
    door = broker.ready["ingest"].removeprefix("tcp://").split(":")
    for _ in range(128):
        system.add(socket.create_connection(door, timeout=pregon.PATIENCE))
    recording.scrape(("process_open_fds", "broker", lambda n: n > 0.9 * 128))


@fault_of("PregonClientsTooSlow")
def read_too_slowly_in_mode_all(system, recording):
    broker, gateway = system.start(client_queue=65536)
    feed = system.feed(broker)
    recording.healthy(gateway)
    for count in (1, 2):
        slow = system.raw_client(gateway, "?symbols=Y&mode=all", receive_buffer=4096)
        slow.receive("ack")
        for n in range(600):
            feed.quote("Y", n=n, last="1", note="x" * 7000)
        recording.scrape(("pregon_clients_closed_total", "slow_consumer", count))


@fault_of("PregonBrokerClosesPeers")
def send_requests_and_read_no_answer(system, recording):
    broker, gateway = system.start()
    feed = system.feed(broker)
    for n in range(500):
        feed.quote(f"S{n}", last="1", note="x" * 500)
    feed.wait_processed()
    recording.healthy(gateway)
    request = msgpack.packb({"op": "snapshot", "id": 1, "pattern": "*"})
    attack = zmtp.DeafAsker(broker.ready["control"], request, count=8).start()
    try:
        recording.scrape(("pregon_broker_peers_deaf_total", lambda n: n > 0))
    finally:
        attack.stop()


# On a slow machine deliveries are slow without a fault.
SLOW_MACHINE = {"PregonDeliverySlow"}


@needs_promtool
@pytest.mark.parametrize("alert", rules())
def test_an_alert_fires_by_its_fault_and_no_other_alert_does(system, alert):
    recording = Recording(system)
    cause, may_fire = FAULTS[alert]
    cause(system, recording)
    assert recording.firing() - (may_fire | SLOW_MACHINE - {alert}) == {alert}


@needs_promtool
@pytest.mark.parametrize("store", ["memory", "sqlite:pregon.db"])
def test_the_ordinary_day_of_a_system_fires_no_alert(system, store):
    recording = Recording(system)
    broker = system.broker(store=store)
    gateway = system.gateway(broker)
    feeder = system.feeder(broker, "-", feed="prices")
    recording.healthy(gateway, where=[("pregon_feed_live", "prices", 1)])
    left, client = (system.client(gateway, "?symbols=X") for _ in range(2))
    for client_of in (left, client):
        client_of.receive("ack")
    assert system.handshake(gateway, headers={"Origin": "https://evil.example"}).status == 403
    recording.scrape(("pregon_refusals_total", "origin_not_allowed", 1))
    for n in (1, 2):
        feeder.write(f'{{"symbol":"X","last":"{n}"}}\n')
        client.receive(("quote", "snapshot"), last=str(n))
        recording.scrape(("pregon_position", n))
    left.close()
    client.close()
    gateway.stop()
    recording.scrape()
    gateway.start()
    recording.scrape(("pregon_broker_up", 1), ("pregon_feed_live", "prices", 1))
    assert recording.firing() - SLOW_MACHINE == set()


@needs_promtool
def test_promtool_accepts_the_rules_and_their_texts():
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_every_panel_shows_something_of_what_gateways_export(system):
    broker, gateway, _ = with_store(system)
    feed = system.feed(broker, "prices")
    client = system.client(gateway, "?symbols=X")
    client.receive("ack")
    for last in "1", "one":
        feed.quote("X", last=last)
    feed.wait_processed()
    client.receive(("quote", "snapshot"), last="1")
    recording = Recording(system).healthy(gateway, where=[
        ("pregon_feed_quotes_refused_total", "prices", "bad_price", 1)])
    expressions = [expression for _, expression in panel_expressions()]
    assert len(expressions) > 30
    assert recording.without_data(expressions) == set()


def label_names(expression):
    """Every label that the expression selects, groups or joins by."""
    groups = re.findall(r"\b(?:by|on|without|ignoring) \(([^)]*)\)", expression)
    selectors = re.findall(r"(\w+)\s*[=!]~?\s*\"", expression)
    return {*selectors, *re.findall(r"\w+", " ".join(groups))}


def test_rules_and_panels_use_metrics_and_labels_that_are_documented():
    with open(os.path.join(pregon.ROOT, "docs", "protocol", "http.md"), encoding="utf-8") as f:
        rows = re.findall(r"^\| `(pregon_\w+|process_\w+)` \| (\w+) \|([^|]*)\|", f.read(), re.M)
    names = {name for name, _, _ in rows}
    names |= {f"{name}_bucket" for name, kind, _ in rows if kind == "histogram"}
    labels = {label for _, _, listed in rows for label in re.findall(r"`(\w+)`", listed)}
    used = [(alert, rule["expr"]) for alert, rule in rules().items()] + list(panel_expressions())
    for where, expression in used:
        assert set(re.findall(r"\b(?:pregon|process)_\w+", expression)) <= names, where
        assert label_names(expression) <= labels | {"job", "instance", "le"}, where


@pytest.mark.parametrize("guide", ["operations.md", "operations.es.md"])
def test_the_guide_lists_every_alert_once(guide):
    with open(os.path.join(pregon.ROOT, "docs", guide), encoding="utf-8") as f:
        assert re.findall(r"^\| `(Pregon\w+)` \|", f.read(), re.M) == list(rules())
