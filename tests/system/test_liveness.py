"""A peer that vanished without closing its connections: they hang, and new sockets replace them."""

import contextlib
import socket
import threading

import pytest

import consumer
import pregon

DOORS = ("ingest", "publish", "control")


class Relay:
    """A TCP relay to one door of the broker.

    `block` is a machine that has vanished: what is on the way is not delivered and nobody closes.
    Until `open_again` whoever connects gets a connection on which nothing comes.  All of these
    stay dead, as connections to an old address do.
    """

    def __init__(self, system, address):
        host, port = address.removeprefix("tcp://").split(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.sockets = [self.listener]
        self.opened = threading.Event()
        self.opened.set()
        self.life = 0  # connections of another one are dead
        self.accepted = 0
        system.peers.append(self)
        threading.Thread(target=self._accept, daemon=True).start()

    def block(self):
        self.life += 1
        self.opened.clear()

    def open_again(self):
        self.life += 1
        self.opened.set()

    def close(self):
        for s in self.sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                self.accepted += 1
                self.sockets.append(near)
                if not self.opened.is_set():
                    continue  # half-open: no data passes in either direction
                far = socket.create_connection(self.target)
                self.sockets.append(far)
                for ends in ((near, far), (far, near)):
                    threading.Thread(
                        target=self._pump, args=(*ends, self.life), daemon=True
                    ).start()

    def _pump(self, source, sink, life):
        with contextlib.suppress(OSError):
            while (data := source.recv(65536)) and life == self.life:
                sink.sendall(data)
            if life == self.life:
                sink.shutdown(socket.SHUT_WR)


def relays(system, broker):
    return {door: Relay(system, broker.ready[door]) for door in DOORS}


class Setup:
    """A broker, a feeder, a gateway with a client and a consumer, each behind its own relays."""

    def __init__(self, system):
        broker = system.broker()
        self.relays = {name: relays(system, broker) for name in ("feeder", "gateway", "consumer")}
        self.gateway = system.gateway(
            broker, heartbeat=1, **self.where("gateway", "publish", "control")
        )
        self.feeder = system.feeder(
            broker, "-", feed="near", **self.where("feeder", "ingest", "control")
        )
        self.client = system.client(self.gateway, "?symbols=X&mode=all")
        self.client.receive("ack")
        self.driver = consumer.driver(
            system, broker, "X", publish=self.relays["consumer"]["publish"].address,
            control=self.relays["consumer"]["control"].address)
        self.driver.receive("synced")
        self.number = 0

    def where(self, name, *sockets):
        return {f"broker_{door}": self.relays[name][door].address for door in sockets}

    def chosen(self, sockets):
        return [relay for them in self.relays.values() for door, relay in them.items()
                if door in sockets and relay.accepted]

    def send_quote(self):
        self.number += 1
        self.feeder.write('{"symbol":"X","last":"%d"}\n' % self.number)

    def check_complete(self):
        """Client and consumer got every quote so far, once and in order."""
        self.client.receive(("quote", "snapshot"), last=str(self.number))
        told = [m["last"] for m in self.client.messages if m["type"] in ("quote", "snapshot")]
        assert told == [str(n + 1) for n in range(self.number)]
        self.driver.receive("quote", last=str(self.number))
        for who in (self.client, self.driver):
            assert not who.received("lost") and not who.received("reset")


@pytest.mark.parametrize("sockets", [DOORS, ("publish", "ingest"), ("control",)], ids=" and ".join)
def test_a_broker_that_moves_silently_is_found_again_and_nothing_is_missing(system, sockets):
    setup = Setup(system)
    setup.send_quote()
    setup.check_complete()
    chosen = setup.chosen(sockets)
    before = [relay.accepted for relay in chosen]

    for relay in chosen:
        relay.block()
    setup.send_quote()
    for relay, count in zip(chosen, before):
        pregon.eventually(lambda: relay.accepted, lambda n: n > count, "a new connection")
    setup.send_quote()
    for relay in chosen:
        relay.open_again()

    setup.send_quote()
    setup.check_complete()
    health = pregon.eventually(lambda: setup.gateway.get("/cotizaciones/health"),
                               lambda a: a.status == 200)
    assert health.json()["status"] == "ok"
    setup.driver.run_command("lock", "a")
    setup.driver.receive("held")
    setup.feeder.stop()  # while its relay is open
