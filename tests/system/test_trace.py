"""`"trace": true`: a quote has the times at which it passed each process, only for clients that
request them."""

import itertools
import time

import msgpack
import pytest

import metrics
import pregon
from fake_broker import FakeBroker

BOTH = pytest.mark.parametrize("protocol", ["pregon.v1.json", "pregon.v1.msgpack"])
MODES = pytest.mark.parametrize("mode", ["merge", "all"])
WAY = ("sent", "accepted", "received", "written")


def check(quote, stamps=WAY):
    """The stamps of a quote, in order of the way; all processes here have one clock."""
    trace = quote["trace"]
    assert tuple(trace) == stamps
    assert all(isinstance(us, int) for us in trace.values())
    assert abs(trace["written"] - time.time() * 1e6) < 600e6
    assert trace["written"] >= trace.get("received", 0)
    return trace


@BOTH
@MODES
def test_a_traced_quote_has_the_times_at_which_it_passed_each_process(system, protocol, mode):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("X", last="0")
    feed.wait_processed()
    client = system.client(gateway, subprotocol=protocol)
    client.receive("ack")
    ack = client.request("subscribe", symbols=["X"], mode=mode, trace=True)
    assert ack["trace"] is True
    assert "trace" not in client.receive("snapshot", last="0")
    began = time.time() * 1e6
    for n in range(1, 6):
        feed.quote("X", n=n, last="1")
        trace = check(client.receive("quote", n=n))
        assert trace["sent"] >= began - 1
        assert trace["received"] >= trace["sent"]
        assert client.request("list")["trace"] is True
    assert began <= trace["accepted"] <= trace["written"]


@BOTH
@MODES
def test_the_url_can_request_traces_too(system, protocol, mode):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = system.client(gateway, f"?symbols=X&mode={mode}&trace=true", subprotocol=protocol)
    assert client.receive("ack")["trace"] is True
    feed.quote("X", last="1")
    check(client.receive("quote"))


def test_a_client_without_the_trace_option_gets_the_same_bytes_as_without_traces(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    plain = [system.client(gateway, f"?symbols=X&mode={mode}", subprotocol=protocol)
             for mode in ("merge", "all") for protocol in (None, "pregon.v1.msgpack")]
    for client in plain:
        assert "trace" not in client.receive("ack")
    feed.quote("X", last="1", timestamp=1640995200.5)
    before = [client.text_of(client.receive("quote", last="1")) for client in plain]

    traced = [system.client(gateway, f"?symbols=X&mode={mode}&trace=true", subprotocol=protocol)
              for mode in ("merge", "all") for protocol in (None, "pregon.v1.msgpack")]
    for client in traced:
        client.receive("snapshot")
    feed.quote("X", last="2", timestamp=1640995200.5)
    for client, text in zip(plain, before):
        after = client.text_of(client.receive("quote", last="2"))
        if isinstance(text, str):
            assert after == text.replace('"seq":1,"prev":0', '"seq":2,"prev":1') \
                .replace('"last":"1"', '"last":"2"')
        assert len(after) == len(text)
        assert "trace" not in client.messages[-1]
    for client in traced:
        check(client.receive("quote", last="2"))
    for client in plain:
        assert not [m for m in client.messages if "trace" in m]


def test_tracing_can_be_turned_off_and_stays_as_it_is_when_a_request_omits_it(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=X&trace=true")
    client.receive("ack")
    assert client.request("subscribe", symbols=["Y"])["trace"] is True
    feed.quote("Y", last="1")
    check(client.receive("quote", symbol="Y"))
    assert "trace" not in client.request("subscribe", symbols=["Z"], trace=False)
    assert "trace" not in client.request("list")
    feed.quote("Y", last="2")
    assert "trace" not in client.receive("quote", symbol="Y", last="2")
    feed.quote("Z", last="1")
    assert "trace" not in client.receive("quote", symbol="Z")


def test_the_metrics_count_the_clients_with_traces(system):
    broker, gateway = system.start()
    count = lambda: metrics.of(gateway)["pregon_clients_traced"]  # noqa: E731
    one, two = (system.client(gateway, "?symbols=X&trace=true") for _ in range(2))
    one.receive("ack"), two.receive("ack")
    assert count() == 2
    one.request("subscribe", symbols=["Y"], trace=True)
    assert count() == 2
    one.request("subscribe", symbols=["Y"], trace=False)
    assert count() == 1
    two.abort()
    pregon.eventually(count, lambda n: n == 0)


@pytest.mark.parametrize("value", [1, "true", None, {}])
def test_another_value_is_refused(system, value):
    broker, gateway = system.start()
    client = system.client(gateway, "?symbols=X&trace=yes")
    assert client.receive("error")["message"] == "?trace= must be true or false"
    assert "trace" not in client.receive("ack")
    error = client.request("subscribe", symbols=["X"], trace=value)
    assert error["type"] == "error" and error["code"] == "bad_request"
    assert error["message"] == "'trace' must be true or false"
    assert error["at"] > 0


@BOTH
@pytest.mark.parametrize("source", ["window", "log"])
def test_a_reconnecting_client_receives_what_is_known_of_the_records_it_missed(
    system, protocol, source
):
    broker, gateway = system.start()
    feed = system.feed(broker)
    watch = system.client(gateway, "?symbols=X&mode=all&trace=true")
    ack = watch.receive("ack")
    for n in range(5):
        feed.quote("X", n=n, last="1")
    quotes = [watch.receive("quote", n=n) for n in range(5)]
    if source == "log":
        gateway = system.gateway(broker)
    back = system.client(gateway, f"?symbols=X&mode=all&trace=true"
                                 f"&since={ack['epoch']}:{quotes[1]['seq']}", subprotocol=protocol)
    assert back.receive("ack")["recovered"] is True
    for n in range(2, 5):
        before = quotes[n]["trace"]
        if source == "window":
            trace = check(back.receive("quote", n=n))
            assert trace["received"] == before["received"]
        else:  # this gateway was not there when it was called out
            trace = check(back.receive("quote", n=n), ("sent", "accepted", "written"))
        assert (trace["sent"], trace["accepted"]) == (before["sent"], before["accepted"])
        assert trace["written"] > before["written"]
    feed.quote("X", n=5, last="1")
    check(back.receive("quote", n=5))


@BOTH
def test_unknown_times_are_omitted_from_a_trace(system, protocol):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    client = system.client(gateway, "?symbols=X&trace=true", subprotocol=protocol)
    client.receive("ack")
    fake.journal.append((b"X ", b""))
    fake.publish(b"X ", msgpack.packb([1, fake.epoch, 1, 0, 0, 0, {"last": "1"}]))
    check(client.receive("quote", last="1"), ("received", "written"))


def test_a_field_of_that_name_is_the_quotes_own(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=X&trace=true")
    client.receive("ack")
    feed.quote("X", last="1", trace="mine")
    assert client.receive("quote")["trace"] == "mine"
    assert client.text_of(client.messages[-1]).count("trace") == 1


@BOTH
def test_written_is_the_time_of_the_send_also_for_a_client_that_did_not_read(system, protocol):
    broker, gateway = system.start()
    feed = system.feed(broker)
    headers = {"Sec-WebSocket-Protocol": protocol}
    slow = system.raw_client(gateway, "?symbols=X&mode=all&trace=true", headers=headers,
                             receive_buffer=4096)
    quick = system.client(gateway, "?symbols=X&mode=all&trace=true", subprotocol=protocol)
    slow.receive("ack"), quick.receive("ack")
    for n in itertools.count():  # until the socket is full
        feed.quote("X", n=n, last="1", note="x" * 1000)
        if n % 200 == 0:
            quick.receive("quote", n=n)
            if gateway.get("/metrics").body.count(b"\npregon_clients_blocked 1\n"):
                break
    pause = int(time.time() * 1e6)
    last = {q["n"]: q for q in quick.received("quote")}[n]
    assert check(last)["written"] <= pause
    traces = []
    while len(traces) <= n:
        quote = slow.receive("quote")
        assert quote["n"] == len(traces)
        traces.append(check(quote))
    assert traces[0]["written"] <= pause <= traces[-1]["written"]
    assert traces[-1]["received"] == last["trace"]["received"] <= pause
    written = [t["written"] for t in traces]
    assert written == sorted(written)
