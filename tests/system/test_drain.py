"""A gateway that gets SIGTERM gives a balancer time to notice before it closes its clients."""

import itertools
import signal

import pregon

DELAY = 2 * (3 if pregon.IS_SANITIZED else 1)  # seconds in which a test acts
FIRST = 0.5  # seconds: no client reconnects earlier


def leaving(system, delay, clients=0, **settings):
    """A gateway with clients that got SIGTERM and reports that it is not ready."""
    broker, gateway = system.start(drain_delay=delay, handshake_rate=1, **settings)
    feed = system.feed(broker)
    early = [system.client(gateway, "?symbols=X") for _ in range(clients)]
    for client in early:
        client.receive("ack")
    gateway.signal(signal.SIGTERM)
    gateway.wait_for_log("Not ready any more")
    return gateway, feed, early


def check_spread(slots):
    """Each client has a different time, and the times cover the whole time that all take."""
    slots = sorted(slots)
    last = FIRST + len(slots)  # with a HANDSHAKE_RATE of 1
    assert FIRST <= slots[0] and slots[-1] < last
    spaces = [b - a for a, b in itertools.pairwise([*slots, last])]
    assert 0 < max(spaces) <= 2 * min(spaces) + 0.002, slots


def test_during_the_delay_only_ready_and_health_change(system):
    gateway, feed, early = leaving(system, DELAY, clients=5)
    ready = gateway.get("/cotizaciones/ready")
    assert (ready.status, ready.code) == (503, "draining")
    health = gateway.get("/cotizaciones/health")
    assert (health.status, health.json()["status"]) == (503, "unhealthy")
    assert "draining" in health.json()["reason"]
    assert gateway.page("websocket_check?origin=http://localhost:3000")["code"] == "admitted"
    assert gateway.get("/cotizaciones/live").status == 200

    late = system.client(gateway, "?symbols=X")
    late.receive("ack")
    feed.quote("X", last="1")
    for client in early + [late]:
        client.receive("quote", last="1")
        assert not client.received("going_away"), "the delay is not over"

    check_spread([c.receive("going_away")["reconnect_after"] for c in early + [late]])
    for client in early + [late]:
        assert client.wait_closed() == (1012, '{"code":"restart"}')
    gateway.wait_for_exit(0)


def test_after_the_delay_handshakes_are_refused_while_clients_are_seen_off(system):
    gateway, feed, _ = leaving(system, DELAY)
    mute = system.raw_client(gateway)  # it does not answer the close, so the gateway waits a while
    mute.receive("going_away")
    answer = system.handshake(gateway)
    assert (answer.status, answer.code) == (503, "draining")
    assert gateway.get("/cotizaciones/ready").code == "draining"
    assert "draining" in gateway.page("health")["reason"]
    assert mute.wait_closed() == 1012
    gateway.wait_for_exit(0)


def test_many_clients_are_spread_evenly_over_the_window(system):
    gateway, feed, many = leaving(system, 0.001, clients=40)
    check_spread([c.receive("going_away")["reconnect_after"] for c in many])
    gateway.wait_for_exit(0)


def test_without_clients_the_delay_is_waited_for_too(system):
    gateway, feed, _ = leaving(system, DELAY)
    late = system.client(gateway, "?symbols=X")  # a balancer that had not noticed sent it
    late.receive("ack")
    late.receive("going_away")
    assert late.wait_closed()[0] == 1012
    gateway.wait_for_exit(0)


def test_a_second_signal_ends_the_delay_at_once(system):
    gateway, feed, _ = leaving(system, 600, clients=1)
    gateway.signal(signal.SIGTERM)
    gateway.wait_for_exit(1)


def test_without_a_delay_clients_are_seen_off_at_once(system):
    broker, gateway = system.start(handshake_rate=1)
    clients = [system.client(gateway, "?symbols=X") for _ in range(5)]
    for client in clients:
        client.receive("ack")
    gateway.signal(signal.SIGTERM)
    check_spread([c.receive("going_away")["reconnect_after"] for c in clients])
    gateway.wait_for_exit(0)
    assert not gateway.logged("Not ready any more")


def test_few_clients_come_back_within_a_second_and_more_gateways_take_them_faster(system):
    broker, first = system.start(websocket_max_connections=20)
    second = system.gateway(broker)
    clients = [system.client(first, "?symbols=X&mode=all") for _ in range(8)]
    for client in clients:
        client.receive("ack")
    for leaving, other in ((first, second), (second, first)):  # a rolling restart
        leaving.stop()
        assert max(c.receive("going_away")["reconnect_after"] for c in clients) < 0.6
        clients = [system.client(other, "?symbols=X&mode=all") for _ in clients]
        for client in clients:
            client.receive("ack")
        leaving.start()


def test_others_that_have_places_share_the_clients(system):
    broker = system.broker()
    leaving, *others = [system.gateway(broker, handshake_rate=1) for _ in range(3)]
    full = system.gateway(broker, websocket_max_connections=0)
    pregon.eventually(lambda: leaving.status()["gateways"], lambda g: len(g) == 4)
    clients = [system.client(leaving, "?symbols=X") for _ in range(8)]
    for client in clients:
        client.receive("ack")
    leaving.stop()
    slots = sorted(c.receive("going_away")["reconnect_after"] for c in clients)
    assert slots == [FIRST + n / 2 for n in range(8)]  # two a second
    assert full.is_running and all(o.is_running for o in others)
