"""Peers that fill the broker's memory, beside a client that must not notice."""

import statistics
import time

import msgpack
import pregon
import pytest
import zmtp

MEMORY = 256 << 20  # bytes an attack may cost the broker for a moment
AFTER = 64 << 20  # and when it is over

QUIET = 20  # quotes


class Watch:
    """A client in mode all and the quotes it must get; measures how long each takes."""

    def __init__(self, system, **settings):
        self.broker = system.broker(**settings)
        gateway = system.gateway(self.broker)
        self.feed = system.feed(self.broker)
        self.client = system.client(gateway, "?symbols=W&mode=all")
        self.client.receive("ack")
        self.sent = 0
        self.before = self.broker.rss()
        self.peak = 0
        self.quiet = [self.quote() for _ in range(QUIET)]
        self.during = []

    def quote(self):
        self.sent += 1
        began = time.monotonic()
        self.feed.quote("W", last=str(self.sent))
        self.client.receive("quote", symbol="W", last=str(self.sent))
        self.peak = max(self.peak, self.broker.rss() - self.before)
        return time.monotonic() - began

    def quotes_flow_until(self, condition, what):
        """Quote by quote, each awaited, and the bound on memory holds at each."""
        def look():
            self.during.append(self.quote())
            assert pregon.IS_SANITIZED or self.peak < MEMORY, f"{self.peak >> 20} MiB"
            return condition()

        pregon.eventually(look, what=what)

    def ends_well(self):
        heard = [m["last"] for m in self.client.received("quote", symbol="W")]
        assert heard == [str(n + 1) for n in range(self.sent)]
        assert not self.client.end
        print(f"latency in ms, quiet: {statistics.median(self.quiet) * 1e3:.1f}, attacked: "
              f"{statistics.median(self.during) * 1e3:.1f}; peak {self.peak >> 20} MiB")
        if not pregon.IS_SANITIZED:
            pregon.eventually(lambda: self.broker.rss() - self.before, lambda m: m < AFTER,
                              "the memory goes back to the system")


@pytest.mark.parametrize("door, kind, size", [("control", "DEALER", 0), ("ingest", "PUB", 0),
                                              ("publish", "SUB", 0), ("control", "DEALER", 50000)])
def test_a_multipart_message_that_never_ends_costs_bounded_memory(system, door, kind, size):
    watch = Watch(system)
    attack = zmtp.EndlessMultipart(watch.broker.ready[door], kind, bytes(size)).start()
    try:
        watch.quotes_flow_until(lambda: attack.cut, "its connection is closed")
    finally:
        attack.stop()
    watch.ends_well()
    watch.broker.wait_for_log(f"{door}: closing the connection of .*a message that does not end")
    peers = system.control(watch.broker).request("status")["peers"]
    assert peers["closed_unfinished"] == 1


def test_peers_that_send_requests_and_never_read_cost_bounded_memory(system):
    watch = Watch(system)
    for n in range(500):
        watch.feed.quote(f"S{n}", last="1", note="x" * 500)
    watch.feed.wait_processed()
    request = msgpack.packb({"op": "snapshot", "id": 1, "pattern": "*"})  # 300 KB each
    attack = zmtp.DeafAsker(watch.broker.ready["control"], request, count=60).start()
    control = system.control(watch.broker)
    try:
        watch.quotes_flow_until(lambda: attack.cut == 60, "their connections are closed")
    finally:
        attack.stop()
    watch.ends_well()
    peers = control.request("status")["peers"]
    assert peers["refused"] > 0
    assert peers["closed_deaf"] > 0


@pytest.mark.parametrize("op", ["ping", "snapshot"])
def test_peers_that_keep_sending_requests_unread_are_closed_before_their_timeout(system, op):
    watch = Watch(system, peer_timeout=600)
    for n in range(500):
        watch.feed.quote(f"S{n}", last="1", note="x" * 500)
    watch.feed.wait_processed()
    request = msgpack.packb({"op": op, "id": 1, "pattern": "*"})
    attack = zmtp.DeafAsker(watch.broker.ready["control"], request, count=8).start()
    try:
        watch.quotes_flow_until(lambda: attack.cut == 8, "their connections are closed")
    finally:
        attack.stop()
    watch.ends_well()
    watch.broker.wait_for_log("control: closing the connection of .*goes on asking without reading")


def test_a_peer_with_many_requests_that_reads_late_is_served_to_the_end(system):
    broker = system.broker()
    feed = system.feed(broker)
    for n in range(500):
        feed.quote(f"S{n}", last="1", note="x" * 500)
    feed.wait_processed()
    peer = system.add(zmtp.open_peer(broker.ready["control"], "DEALER", receive_buffer=1 << 16))
    peer.settimeout(pregon.PATIENCE)
    count = 200  # 50 MB of answers
    peer.sendall(b"".join(zmtp.frame(msgpack.packb({"op": "snapshot", "id": n, "pattern": "*"}))
                          for n in range(count)))
    control = system.control(broker)
    # meanwhile other peers are served, and the memory of waiting answers is bounded
    for _ in range(20):
        resident = control.request("status")["process"]["resident_bytes"]
        assert resident < 64 << 20 or pregon.IS_SANITIZED
    for n in range(count):
        answer = msgpack.unpackb(zmtp.read_message(peer))
        assert answer["id"] == n and answer["quotes"], answer.get("error")
    peers = control.request("status")["peers"]
    assert (peers["refused"], peers["closed_deaf"]) == (0, 0)


def test_subscribers_that_never_read_cost_bounded_memory_and_no_other_subscriber_a_record(system):
    watch = Watch(system)
    attack = zmtp.DeafSubscriber(watch.broker.ready["publish"], count=20).start()
    try:
        def burst():
            for n in range(500):
                watch.feed.quote(f"S{n}", last="1", note="x" * 300)
            watch.feed.wait_processed()
            return attack.cut == 20

        watch.quotes_flow_until(burst, "their connections are closed")
    finally:
        attack.stop()
    watch.ends_well()
    watch.broker.wait_for_log("publish: closing the connection of .*data waits")


class EndlessSubscriber(zmtp.Attack):
    """Subscribes to more and more topics."""

    def work(self, s):
        for n in range(10**6):
            if self.has_ended.is_set():
                return
            self.send(s, b"".join(zmtp.frame(b"\1%015d-%050d" % (n * 100 + i, 0))
                                  for i in range(100)))


def test_a_peer_that_subscribes_to_more_and_more_topics_is_closed(system):
    watch = Watch(system)
    attack = EndlessSubscriber(watch.broker.ready["publish"], "SUB").start()
    try:
        watch.quotes_flow_until(lambda: attack.cut, "its connection is closed")
    finally:
        attack.stop()
    watch.ends_well()
    watch.broker.wait_for_log("publish: closing the connection of .*of topics; PEER_BYTES")
    assert system.control(watch.broker).request("status")["peers"]["closed_topics"] == 1


def test_the_names_that_clients_invent_do_not_cost_a_gateway_its_broker(system):
    broker, gateway = system.start(topic_bytes=4096)
    feed = system.feed(broker)
    other = system.client(gateway, "?symbols=X&mode=all")
    other.receive("ack")
    client = system.client(gateway, "?symbols=X")
    ack = client.request("subscribe", symbols=["X", *(f"NAME{n:028}" for n in range(200)), "*"])
    assert ack["symbols"][0] == "X" and ack["symbols"][-1] == "*"
    assert len(ack["symbols"]) + len(ack["rejected"]) == 202
    assert 80 < len(ack["rejected"]) < 100  # 37 bytes each
    client.request("unsubscribe", symbols=ack["symbols"])
    again = system.client(gateway, "?symbols=")

    def is_taken():
        return again.request("subscribe", symbols=["ANOTHER" + "X" * 25])["symbols"]

    pregon.eventually(is_taken, what="what nobody holds any more makes room")
    feed.quote("X", last="1")
    other.receive("quote", symbol="X", last="1")


def test_more_connections_than_allowed_do_not_keep_a_feeder_or_a_gateway_out(system):
    broker = system.broker(peer_connections=10)
    idle = [system.add(zmtp.open_peer(broker.ready[door], kind))
            for _ in range(30)
            for door, kind in (("ingest", "PUB"), ("publish", "SUB"), ("control", "DEALER"))]
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=X")
    feed.quote("X", last="1")
    client.receive(("quote", "snapshot"), symbol="X", last="1")
    control = system.control(broker)
    peers = pregon.eventually(lambda: control.request("status")["peers"],
                              lambda p: p["closed_full"] >= 60, "the surplus is closed")
    assert all(peers[door] <= 10 for door in ("ingest", "publish", "control"))
    assert len(idle) == 90


def test_a_peer_that_does_not_read_is_refused_and_served_again_when_it_reads(system):
    broker = system.broker(peer_timeout=600, peer_bytes=262144)
    feed = system.feed(broker)
    for n in range(500):
        feed.quote(f"S{n}", last="1", note="x" * 500)
    feed.wait_processed()
    request = zmtp.frame(msgpack.packb({"op": "snapshot", "id": 7, "pattern": "*"}))
    peer = system.add(zmtp.open_peer(broker.ready["control"], "DEALER", receive_buffer=1 << 18))
    peer.settimeout(pregon.PATIENCE)
    count = 60  # 15 MB of answers: more than the kernel takes
    peer.sendall(request * count)
    control = system.control(broker)
    pregon.eventually(lambda: control.request("status")["peers"]["refused"], what="it is refused")
    answers = [msgpack.unpackb(zmtp.read_message(peer)) for _ in range(count)]
    assert "quotes" in answers[0]
    assert "too_many_requests" in [a.get("error") for a in answers]
    peer.sendall(request)
    assert "quotes" in msgpack.unpackb(zmtp.read_message(peer))
