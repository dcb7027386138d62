"""A gateway that is told to stop lets a balancer notice before it sees its clients off."""

import pregon


def test_during_the_delay_only_ready_changes(stage):
    broker, gateway = stage.play(drain_delay=3, timeout_graceful_shutdown=2)
    feed = stage.feed(broker)
    early = [stage.client(gateway, "?symbols=X") for _ in range(5)]
    for client in early:
        client.hears("ack")
    gateway.signal(15)
    pregon.eventually(lambda: gateway.get("/cotizaciones/ready").status, lambda c: c == 503,
                      "not ready")
    late = stage.client(gateway, "?symbols=X")
    late.hears("ack")
    feed.quote("X", last="1")
    for client in early + [late]:
        client.hears("quote", last="1")
    slots = [c.hears("going_away")["reconnect_after"] for c in early + [late]]
    assert len(set(slots)) == len(slots) and max(slots) <= 0.5 + 2
    assert all(c.closed()[0] == 1012 for c in early + [late])
    gateway.ends(0)


def test_a_second_signal_ends_the_delay_at_once(stage):
    broker, gateway = stage.play(drain_delay=600)
    stage.client(gateway, "?symbols=X").hears("ack")
    gateway.signal(15)
    gateway.says("Not ready any more")
    gateway.signal(15)
    gateway.ends(1)
