"""A peer that is there no more, and says nothing: connections hang, and new sockets go around
them."""

import contextlib
import socket
import threading

import pytest

import consumer
import pregon

DOORS = ("ingest", "publish", "control")


class Road:
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
                    continue  # half-open: it hears nothing, and nobody hears it
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


def roads(system, broker):
    return {door: Road(system, broker.ready[door]) for door in DOORS}


class Play:
    """A broker, and behind roads of their own a feeder, a gateway with a client, and a consumer."""

    def __init__(self, system):
        broker = system.broker()
        self.roads = {name: roads(system, broker) for name in ("feeder", "gateway", "consumer")}
        self.gateway = system.gateway(
            broker, heartbeat=1, **self.where("gateway", "publish", "control")
        )
        self.feeder = system.feeder(
            broker, "-", feed="near", **self.where("feeder", "ingest", "control")
        )
        self.client = system.client(self.gateway, "?symbols=X&mode=all")
        self.client.receive("ack")
        self.driver = consumer.driver(
            system, broker, "X", publish=self.roads["consumer"]["publish"].address,
            control=self.roads["consumer"]["control"].address)
        self.driver.receive("synced")
        self.number = 0

    def where(self, name, *doors):
        return {f"broker_{door}": self.roads[name][door].address for door in doors}

    def chosen(self, doors):
        return [road for them in self.roads.values() for door, road in them.items()
                if door in doors and road.accepted]

    def speak(self):
        self.number += 1
        self.feeder.write('{"symbol":"X","last":"%d"}\n' % self.number)

    def check_complete(self):
        """Client and consumer are told every quote so far, once and in order."""
        self.client.receive(("quote", "snapshot"), last=str(self.number))
        told = [m["last"] for m in self.client.messages if m["type"] in ("quote", "snapshot")]
        assert told == [str(n + 1) for n in range(self.number)]
        self.driver.receive("quote", last=str(self.number))
        for who in (self.client, self.driver):
            assert not who.received("lost") and not who.received("reset")


@pytest.mark.parametrize("doors", [DOORS, ("publish", "ingest"), ("control",)], ids=" and ".join)
def test_a_broker_that_moves_silently_is_found_again_and_nothing_is_missing(system, doors):
    play = Play(system)
    play.speak()
    play.check_complete()
    chosen = play.chosen(doors)
    before = [road.accepted for road in chosen]

    for road in chosen:
        road.block()
    play.speak()
    for road, count in zip(chosen, before):
        pregon.eventually(lambda: road.accepted, lambda n: n > count, "a new connection")
    play.speak()
    for road in chosen:
        road.open_again()

    play.speak()
    play.check_complete()
    health = pregon.eventually(lambda: play.gateway.get("/cotizaciones/health"),
                               lambda a: a.status == 200)
    assert health.json()["status"] == "ok"
    play.driver.run_command("lock", "a")
    play.driver.receive("held")
    play.feeder.stop()  # while its road is there
