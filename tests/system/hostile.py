"""What a program must still do after an attack: serve, stay small and use no processor time."""

import random

import msgpack

import pregon

MIB = 1024 * 1024
ROOM = MIB * (256 if pregon.IS_SANITIZED else 24)  # what a test may cost a process

LIMIT = 4096  # of a message here, in bytes
SEED = random.SystemRandom().randrange(10**6)

# A heartbeat is a second, and a loop that spins takes all hundred ticks of it.
CALM = 10


def check_calm(process, observer, heartbeats=1):
    """It does next to nothing while nothing is to be done."""
    observer.receive("heartbeat")
    before = process.ticks()
    for _ in range(heartbeats):
        observer.receive("heartbeat")
    per_heartbeat = (process.ticks() - before) / heartbeats
    assert per_heartbeat <= CALM, f"{process.name}: {per_heartbeat} ticks a heartbeat"


def check_served(gateway, observer):
    """Those who behave are served as ever."""
    assert observer.request("ping")["type"] == "ack"
    assert gateway.get("/cotizaciones/live").status == 200


def only(gateway, count):
    pregon.eventually(lambda: gateway.status()["active_connections"], lambda n: n == count,
                      f"{count} places in use")


def play(system, **settings):
    """A broker, a gateway and a client who behaves; once for all tests of a shared system."""
    if not system.processes:
        broker, gateway = system.start(heartbeat=1, ws_max_size=LIMIT, **settings)
        system.observer = system.client(gateway, "?symbols=X")
        system.observer.receive("ack")
    return system.processes[1], system.observer


def hostile_msgpack(rng):
    """Values that are none, or not what they should be."""
    yield b""
    yield b"\xc1"
    yield b"\x91" * 5000 + b"\xc0"  # deep
    yield b"\x81\xa1x" * 5000 + b"\xc0"
    yield b"\xdd\xff\xff\xff\xff"  # counts beyond the bytes there are
    yield b"\xdf\xff\xff\xff\xff"
    yield b"\xdb\xff\xff\xff\xffx"
    yield b"\xc6\xff\xff\xff\xffx"
    yield b"\x97\x01" + b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff" * 5 + b"\xdf\xff\xff\xff\xff"
    yield msgpack.packb([])
    yield msgpack.packb({})
    yield msgpack.packb([1] * 7)
    yield msgpack.packb(["1"] * 7)
    yield msgpack.packb([-1] * 7)
    yield msgpack.packb([1.5] * 7)
    yield msgpack.packb([99, 1, 1, 0, 0, 0, {}])
    yield msgpack.packb([1, 1, 1, 0, 0, 0, {"bid": "1"}]) + b"trailing"
    yield msgpack.packb({"op": None, "id": None})
    yield msgpack.packb(msgpack.ExtType(5, b"x" * 100))
    for size in (1, 5, 50, 500, 50000):
        yield rng.randbytes(size)
