"""/metrics: each counter changes with its event, and Prometheus can read the text."""

import os
import re
import shutil
import subprocess
import time

import msgpack
import pytest

import metrics
import pregon
from fake_broker import FakeBroker, QUOTE

OURS, FOREIGN = "http://localhost:3000", "https://evil.example"
RELAYED = ("pregon_store", "pregon_locks", "pregon_feed", "pregon_journal", "pregon_broker_p",
           "pregon_broker_s", "pregon_broker_g")


def becomes(gateway, key, number, **how):
    """Wait until a sample has this value; returns all metrics of that moment."""
    return pregon.eventually(lambda: metrics.of(gateway), lambda told: told[key] == number,
                             f"{key} being {number}", **how)


@pytest.fixture(scope="module")
def prepared(shared_system):
    """A system in which every metric has a value; the tests do not change it."""
    broker = shared_system.broker(store=f"sqlite:{shared_system.path('log')}")
    gateway = shared_system.gateway(broker, gateway_name="gw-1", websocket_max_connections=7,
                                    cors_origins=OURS, root_path="/precios")
    feed = shared_system.feed(broker, "test")
    client = shared_system.client(gateway, "?symbols=X")
    client.receive("ack")
    feed.quote("X", last="1")
    feed.quote("X", last="one")
    feed.wait_processed()
    client.receive(("quote", "snapshot"), last="1")
    becomes(gateway, ("pregon_feed_quotes_refused_total", "test", "bad_price"), 1)
    return gateway


def test_the_metrics_follow_the_text_format(prepared):
    told = metrics.of(prepared)
    assert len(told.families) > 40
    assert told["pregon_ready"] == 1
    assert told["pregon_broker_up"] == 1
    assert told["pregon_clients_limit"] == 7
    assert told["pregon_build_info", "gateway", "0.1.0"] == 1
    assert told["pregon_build_info", "broker", "0.1.0"] == 1


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool: tools/install-deps metrics")
def test_promtool_finds_nothing_to_say(prepared):
    done = subprocess.run(["promtool", "check", "metrics"], input=metrics.of(prepared).text,
                          capture_output=True, text=True, timeout=pregon.PATIENCE)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_protocol_lists_every_family_with_its_type_and_labels(prepared):
    with open(os.path.join(pregon.ROOT, "docs", "protocol", "http.md"), encoding="utf-8") as f:
        rows = re.findall(r"^\| `(pregon_\w+|process_\w+)` \| (\w+) \|([^|]*)\|", f.read(), re.M)
    documented = {name: (kind, {*re.findall(r"`(\w+)`", labels)}) for name, kind, labels in rows}
    told = {f.name: (f.type, f.labels) for f in metrics.of(prepared).families.values()}
    assert documented == told
    assert len(rows) == len(documented)


def test_it_is_a_page_like_the_others(prepared):
    whole = prepared.get("/metrics", headers={"Origin": OURS})
    assert whole.headers["Access-Control-Allow-Origin"] == OURS
    assert whole.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in prepared.get(
        "/metrics", headers={"Origin": FOREIGN}).headers
    assert prepared.get("/precios/metrics").status == 200
    assert prepared.get("/metrics/").status == 200
    head = prepared.get("/metrics", method="HEAD")
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) > 1000
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]
    refused = prepared.get("/metrics", method="POST")
    assert refused.status == 405 and refused.headers["Allow"] == "GET, HEAD"
    assert prepared.get("/metrics/more").status == 404


def test_metrics_name_no_client(system):
    broker, gateway = system.start(status_token="s3cret")
    client = system.client(gateway, "?symbols=X")
    client.receive("ack")
    text = metrics.of(gateway).text
    assert "127.0.0.1" not in text and str(client.local_port) not in text


def test_both_processes_export_what_they_cost(system):
    broker, gateway = system.start()
    start = time.time()
    told = becomes(gateway, "pregon_broker_up", 1)
    for process in (gateway, broker):
        assert told["process_resident_memory_bytes", process.name] > 1 << 20
        assert told["process_virtual_memory_bytes", process.name] > \
            told["process_resident_memory_bytes", process.name]
        assert told["process_cpu_seconds_total", process.name] > 0
        assert abs(told["process_start_time_seconds", process.name] - start) < 600
        assert 10 < told["process_open_fds", process.name] < \
            told["process_max_fds", process.name]
    before = told["process_open_fds", "gateway"]
    clients = [system.client(gateway) for _ in range(20)]
    assert all(c.receive("welcome") for c in clients)
    assert metrics.of(gateway)["process_open_fds", "gateway"] >= before + 20
    spent = told["process_cpu_seconds_total", "gateway"]
    pregon.eventually(lambda: metrics.of(gateway)["process_cpu_seconds_total", "gateway"],
                      lambda s: s > spent)


def test_a_refusal_counts_under_its_code(system):
    broker, gateway = system.start(websocket_max_connections=1)
    assert system.handshake(gateway, headers={"Origin": FOREIGN}).status == 403
    assert system.handshake(gateway, headers={"Sec-WebSocket-Version": "7"}).status == 426
    system.client(gateway).receive("welcome")
    assert system.handshake(gateway).status == 503
    assert system.handshake(gateway).status == 503
    told = metrics.of(gateway)
    assert {dict(labels)["code"]: n for (_, labels), n
            in told.families["pregon_refusals_total"].samples.items() if n} == \
        {"origin_not_allowed": 1, "bad_version": 1, "max_connections": 2}


def test_clients_count_by_mode_and_encoding_and_by_how_they_end(system):
    broker, gateway = system.start(client_queue=65536, websocket_timeout=2)
    feed = system.feed(broker)
    left = system.client(gateway, "?symbols=X&mode=all", subprotocol="pregon.v1.msgpack")
    lost = system.client(gateway, "?symbols=X")
    stays = system.client(gateway, "?symbols=X&mode=all")
    bad = system.raw_client(gateway, "?symbols=X")
    slow = system.raw_client(gateway, "?symbols=Y&mode=all", receive_buffer=4096)
    for client in (left, lost, stays, bad, slow):
        client.receive("ack")
    told = metrics.of(gateway)
    assert [told["pregon_clients", mode, encoding] for mode in ("merge", "all")
            for encoding in ("json", "msgpack")] == [2, 0, 2, 1]
    assert told["pregon_clients_opened_total"] == 5

    left.close()
    lost.abort()
    bad.send_frame(pregon.TEXT, "{}", masked=False)
    bad.wait_closed()
    for n in range(4000):
        feed.quote("Y", n=n, last="1", note="x" * 1000)
    becomes(gateway, ("pregon_clients_closed_total", "left"), 1)
    becomes(gateway, ("pregon_clients_closed_total", "lost"), 1)
    becomes(gateway, ("pregon_clients_closed_total", "bad_frame"), 1)
    told = becomes(gateway, ("pregon_clients_closed_total", "slow_consumer"), 1)
    assert sum(told.families["pregon_clients_closed_total"].samples.values()) == 4
    assert told["pregon_clients", "all", "json"] == 1
    stays.send_message(op="nonsense")
    assert becomes(gateway, "pregon_client_errors_total", 1)
    assert stays.is_open


def test_merged_and_delivered_quotes_add_up(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    every = system.client(gateway, "?symbols=X&mode=all")
    some = system.client(gateway, "?symbols=X&max_hz=1")
    every.receive("ack"), some.receive("ack")
    before = metrics.of(gateway)
    for n in range(300):
        feed.quote("X", n=n, last="1")
    every.receive("quote", n=299)
    some.receive(("quote", "snapshot"), n=299)
    told = metrics.of(gateway)
    rose = lambda *key: told[key] - before[key]  # noqa: E731
    got = len(some.received("quote")) + len(some.received("snapshot"))
    assert got < 300
    assert rose("pregon_records_received_total", "quote") == 300
    assert rose("pregon_merged_total") == 300 - got
    assert rose("pregon_deliveries_total") == 300 + got
    assert 0 < rose("pregon_sends_total") <= 300 + got + 10
    assert rose("pregon_sent_bytes_total") >= sum(len(m) for m in every.raw[2:])


def test_messages_of_clients_are_counted(system):
    broker, gateway = system.start()
    client = system.raw_client(gateway, "?symbols=X")
    client.receive("ack")
    before = metrics.of(gateway)
    frame = pregon.frame_bytes(pregon.TEXT, '{"op":"ping"}')
    client.send_bytes(frame * 3)
    for _ in range(3):
        client.receive("ack", op="ping")
    told = metrics.of(gateway)
    assert told["pregon_received_messages_total"] - before["pregon_received_messages_total"] == 3
    assert told["pregon_received_bytes_total"] - before["pregon_received_bytes_total"] == \
        3 * len(frame)


def test_the_latency_of_a_quote_counts_once_however_many_clients_get_it(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    clients = [system.client(gateway, f"?symbols=X&mode={mode}") for mode in ("all", "merge") * 3]
    for client in clients:
        client.receive("ack")
    for n in range(40):
        feed.quote("X", n=n, last="1")
    for client in clients:
        client.receive(("quote", "snapshot"), n=39)
    told = becomes(gateway, ("pregon_delivery_seconds_count", "accepted"), 40)
    assert told["pregon_delivery_seconds_count", "sent"] == 40
    assert told["pregon_delivery_seconds_sum", "sent"] >= \
        told["pregon_delivery_seconds_sum", "accepted"] > 0


def test_a_stamp_of_long_ago_is_a_long_delivery(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    client = system.client(gateway, "?symbols=X")
    client.receive("ack")
    now = int(time.time() * 1e6)
    body = {"last": "1", "timestamp": now / 1e6}
    fake.journal.append((b"X ", b""))
    fake.publish(b"X ", msgpack.packb([QUOTE, fake.epoch, 1, 0, now - 7_000_000, now - 2_000_000,
                                       body]))
    client.receive(("quote", "snapshot"), last="1")
    told = becomes(gateway, ("pregon_delivery_seconds_count", "sent"), 1)
    assert 7 <= told["pregon_delivery_seconds_sum", "sent"]
    assert told["pregon_delivery_seconds_bucket", "sent", "5.0"] == 0
    assert told["pregon_delivery_seconds_bucket", "accepted", "1.0"] == 0
    assert 2 <= told["pregon_delivery_seconds_sum", "accepted"] < \
        told["pregon_delivery_seconds_sum", "sent"]


def test_records_that_are_none_and_old_ones_are_counted_as_dropped(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    client = system.client(gateway, "?symbols=X")
    client.receive("ack")
    fake.quote("X", last="1")
    client.receive(("quote", "snapshot"), last="1")
    fake.publish(*fake.journal[0])
    fake.publish(b"X ", b"\xc1")
    fake.publish(b"X ", fake.record(QUOTE, 2, 1, {})[:-1] + b"\x81\xc0\xc0")
    becomes(gateway, ("pregon_records_dropped_total", "not_newer"), 1)
    becomes(gateway, ("pregon_records_dropped_total", "malformed"), 2)


def test_a_client_that_reads_too_slowly_shows_in_the_queue(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    slow = system.raw_client(gateway, "?symbols=S*", receive_buffer=4096)
    slow.receive("ack")
    becomes(gateway, ("pregon_client_queue_messages_bucket", "merge", "0"), 1)
    for n in range(20):
        for i in range(400):
            feed.quote(f"S{i}", n=n, last="1", note="x" * 1000)
    feed.wait_processed()
    pregon.eventually(
        lambda: metrics.of(gateway),
        lambda told: told["pregon_client_queue_messages_count", "merge"]
        > told["pregon_client_queue_messages_bucket", "merge", "30"])
    assert metrics.of(gateway)["pregon_clients_blocked"] == 1
    slow.socket.close()
    becomes(gateway, "pregon_clients_blocked", 0)


def test_clients_are_counted_by_the_mode_they_are_in_now(system):
    _, gateway = system.start()
    first = system.client(gateway, "?symbols=X")
    second = system.client(gateway, "?symbols=X&mode=all", subprotocol="pregon.v1.msgpack")
    first.receive("ack"), second.receive("ack")
    for n, mode in enumerate(("all", "all", "merge", "all")):
        for client in (first, second):
            client.send_message(op="subscribe", symbols=["Y"], mode=mode, id=n)
            client.receive("ack", id=n)
        told = metrics.of(gateway)
        other = "all" if mode == "merge" else "merge"
        assert [told["pregon_clients", mode, "json"], told["pregon_clients", mode, "msgpack"]] == [
            1,
            1,
        ]
        assert [
            told["pregon_clients", other, "json"],
            told["pregon_clients", other, "msgpack"],
        ] == [0, 0]
    first.close()
    second.abort()
    for encoding in ("json", "msgpack"):
        becomes(gateway, ("pregon_clients", "all", encoding), 0)


def test_reconnecting_clients_are_counted_as_recovered_or_not(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    first = system.client(gateway, "?symbols=X")
    ack = first.receive("ack")
    feed.quote("X", last="1")
    seq = first.receive(("quote", "snapshot"))["seq"]
    for mode in ("all", "merge"):
        back = system.client(gateway, f"?symbols=X&mode={mode}&since={ack['epoch']}:{seq}")
        assert back.receive("ack")["recovered"] is True
        back = system.client(gateway, f"?symbols=X&mode={mode}&since={'0' * 15}7:{seq}")
        assert back.receive("ack")["recovered"] is False
    told = metrics.of(gateway)
    assert told["pregon_resumes_total", "true"] == 2
    assert told["pregon_resumes_total", "false"] == 2


def test_feeds_are_reported_one_by_one(system):
    broker, gateway = system.start()
    one, two = system.feed(broker, "one"), system.feed(broker, "two")
    for n in range(3):
        one.quote("A", last="1")
    one.quote("A", last="--1")
    one.quote("A", bid="2", ask="1")
    two.quote("B", last="1")
    one.wait_processed(), two.wait_processed()
    told = becomes(gateway, ("pregon_feed_quotes_accepted_total", "one"), 3)
    assert told["pregon_feed_quotes_accepted_total", "two"] == 1
    assert told["pregon_feed_lines_received_total", "one"] == 5
    assert told["pregon_feed_quotes_refused_total", "one", "bad_price"] == 1
    assert told["pregon_feed_quotes_refused_total", "one", "crossed"] == 1
    assert told["pregon_feed_live", "one"] == 1
    assert told["pregon_broker_position"] == 4
    assert told["pregon_broker_symbols"] == 2

    with one.changed:
        one._send_line(1)
    becomes(gateway, ("pregon_feed_duplicates_total", "one"), 1)
    two.control.send(msgpack.packb(
        {"op": "lost", "id": 5, "epoch": two.epoch, "first": 2, "last": 8,
         "reason": "ring_overflow"}))
    becomes(gateway, ("pregon_feed_lines_lost_total", "two"), 7)
    one.fall_silent()
    told = becomes(gateway, ("pregon_feed_live", "one"), 0)
    assert told["pregon_feed_live", "two"] == 1
    assert told["pregon_feed_silence_seconds", "one"] >= 0.9


def test_the_position_is_the_heads_once_all_has_been_passed_on(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    system.client(gateway, "?symbols=*").receive("ack")
    for n in range(30):
        feed.quote(f"S{n}", last="1")
    told = becomes(gateway, "pregon_position", 30)
    assert told["pregon_broker_position"] == 30
    assert told["pregon_symbols"] == 30


def test_the_metrics_have_the_position_of_the_store(system):
    broker = system.broker(store=f"sqlite:{system.path('log')}")
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    for n in range(10):
        feed.quote("X", last="1")
    told = becomes(gateway, "pregon_store_position", 10)
    assert told["pregon_store_durable"] == 1
    assert told["pregon_store_gaps_total"] == 0
    assert told["pregon_store_first_position"] == 1
    assert becomes(gateway, "pregon_store_lag_seconds", 0.0)
    assert becomes(gateway, ("pregon_feed_lines_stored_total", "feed"), 10)


def test_locks_that_are_held_and_waited_for_are_counted(system):
    broker, gateway = system.start()
    becomes(gateway, "pregon_locks_held", 0)
    holder, other = system.locker(broker, "a"), system.locker(broker, "b")
    holder.acquire("L", ttl_ms=60000)
    holder.acquire("M", ttl_ms=60000)
    assert other.lock("L", keep=True)["error"] == "held"
    told = metrics.of(gateway)
    assert told["pregon_locks_held"] == 2
    assert told["pregon_locks_waiting"] == 1
    assert told["pregon_locks"] == 2
    holder.release("M")
    becomes(gateway, "pregon_locks_held", 1)


def test_without_a_broker_our_own_figures_still_come(system):
    broker, gateway = system.start()
    client = system.client(gateway, "?symbols=X")
    client.receive("ack")
    feed = system.feed(broker)
    feed.quote("X", last="1")
    client.receive(("quote", "snapshot"))
    assert "pregon_feed_live" in metrics.of(gateway)
    broker.kill()
    told = becomes(gateway, "pregon_broker_up", 0)
    assert not [name for name in told.families if name.startswith(RELAYED)]
    assert told["pregon_clients", "merge", "json"] == 1
    assert told["pregon_ready"] == 1
    assert told["process_open_fds", "gateway"] > 0
    with pytest.raises(KeyError):
        told["process_open_fds", "broker"]
    pregon.eventually(lambda: metrics.of(gateway)["pregon_upstream_silence_seconds"],
                      lambda s: s > 3)


def test_a_gateway_that_has_not_started_or_is_going_is_not_ready(system):
    told = metrics.of(system.gateway())
    assert told["pregon_ready"] == 0
    assert told["pregon_broker_up"] == 0

    broker = system.broker()
    ready = system.gateway(broker, drain_delay=30)
    becomes(ready, "pregon_ready", 1)
    ready.signal(15)
    becomes(ready, "pregon_ready", 0)
    ready.signal(15)
    ready.wait_for_exit(1)
