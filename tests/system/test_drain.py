"""A gateway that is told to stop lets a balancer notice before it sees its clients off."""

import itertools
import signal

import pregon

DELAY = 2 * (3 if pregon.IS_SANITIZED else 1)  # seconds in which a test acts
FIRST, ALL = 0.5, 0.5 + 8  # seconds between which clients of a window of 8 are to come back


def leaving(stage, delay, clients=0, **settings):
    """A gateway with clients that was told to stop, and says that it is not ready."""
    broker, gateway = stage.play(drain_delay=delay, timeout_graceful_shutdown=8, **settings)
    feed = stage.feed(broker)
    early = [stage.client(gateway, "?symbols=X") for _ in range(clients)]
    for client in early:
        client.hears("ack")
    gateway.signal(signal.SIGTERM)
    gateway.says("Not ready any more")
    return gateway, feed, early


def check_spread(slots):
    """Each has a moment of its own, and no part of the window is left out."""
    slots = sorted(slots)
    assert FIRST <= slots[0] and slots[-1] < ALL
    spaces = [b - a for a, b in itertools.pairwise([*slots, ALL])]
    assert 0 < max(spaces) <= 2 * min(spaces) + 0.002, slots


def test_during_the_delay_only_ready_and_health_change(stage):
    gateway, feed, early = leaving(stage, DELAY, clients=5)
    ready = gateway.get("/cotizaciones/ready")
    assert (ready.status, ready.code) == (503, "draining")
    health = gateway.get("/cotizaciones/health")
    assert (health.status, health.json()["status"]) == (503, "unhealthy")
    assert "draining" in health.json()["reason"]
    assert gateway.page("websocket_check?origin=http://localhost:3000")["code"] == "admitted"
    assert gateway.get("/cotizaciones/live").status == 200

    late = stage.client(gateway, "?symbols=X")
    late.hears("ack")
    feed.quote("X", last="1")
    for client in early + [late]:
        client.hears("quote", last="1")
        assert not client.heard("going_away"), "the delay is not over"

    check_spread([c.hears("going_away")["reconnect_after"] for c in early + [late]])
    for client in early + [late]:
        assert client.closed() == (1012, '{"code":"restart"}')
    gateway.ends(0)


def test_after_the_delay_handshakes_are_refused_while_clients_are_seen_off(stage):
    gateway, feed, _ = leaving(stage, DELAY)
    mute = stage.raw_client(gateway)  # it does not answer the close, so the gateway waits a while
    mute.hears("going_away")
    answer = stage.handshake(gateway)
    assert (answer.status, answer.code) == (503, "draining")
    assert gateway.get("/cotizaciones/ready").code == "draining"
    assert "draining" in gateway.page("health")["reason"]
    assert mute.closed() == 1012
    gateway.ends(0)


def test_many_clients_are_spread_evenly_over_the_window(stage):
    gateway, feed, many = leaving(stage, 0.001, clients=40)
    check_spread([c.hears("going_away")["reconnect_after"] for c in many])
    gateway.ends(0)


def test_without_clients_the_delay_is_waited_for_too(stage):
    gateway, feed, _ = leaving(stage, DELAY)
    late = stage.client(gateway, "?symbols=X")  # a balancer that had not noticed sent it
    late.hears("ack")
    late.hears("going_away")
    assert late.closed()[0] == 1012
    gateway.ends(0)


def test_a_second_signal_ends_the_delay_at_once(stage):
    gateway, feed, _ = leaving(stage, 600, clients=1)
    gateway.signal(signal.SIGTERM)
    gateway.ends(1)


def test_without_a_delay_clients_are_seen_off_at_once(stage):
    broker, gateway = stage.play(timeout_graceful_shutdown=8)
    clients = [stage.client(gateway, "?symbols=X") for _ in range(5)]
    for client in clients:
        client.hears("ack")
    gateway.signal(signal.SIGTERM)
    check_spread([c.hears("going_away")["reconnect_after"] for c in clients])
    gateway.ends(0)
    assert not gateway.logged("Not ready any more")
