"""Checks after an attack: a program must still serve, stay small and use no processor time."""

import random

import msgpack

import pregon

MIB = 1024 * 1024
ROOM = MIB * (256 if pregon.IS_SANITIZED else 24)  # memory that a test may cost a process

LIMIT = 4096  # of a message here, in bytes
SEED = random.SystemRandom().randrange(10**6)

# Ticks per heartbeat (a second); a busy loop takes all hundred ticks of it.
CALM = 10


def check_calm(process, observer, heartbeats=1):
    """The process uses nearly no processor time while there is nothing to do."""
    observer.receive("heartbeat")
    before = process.ticks()
    for _ in range(heartbeats):
        observer.receive("heartbeat")
    per_heartbeat = (process.ticks() - before) / heartbeats
    assert per_heartbeat <= CALM, f"{process.name}: {per_heartbeat} ticks a heartbeat"


def check_served(gateway, observer):
    """Well-behaved clients are served as before."""
    assert observer.request("ping")["type"] == "ack"
    assert gateway.get("/cotizaciones/live").status == 200


def only(gateway, count):
    pregon.eventually(lambda: gateway.status()["active_connections"], lambda n: n == count,
                      f"{count} places in use")


def start(system, **settings):
    """A broker, a gateway and a well-behaved client; started once for all tests of a shared
    system."""
    if not system.processes:
        broker, gateway = system.start(heartbeat=1, ws_max_size=LIMIT, **settings)
        system.observer = system.client(gateway, "?symbols=X")
        system.observer.receive("ack")
    return system.processes[1], system.observer


def hostile_msgpack(rng):
    """Bytes that are not msgpack, or msgpack of an unexpected form."""
    yield b""
    yield b"\xc1"
    yield b"\x91" * 5000 + b"\xc0"  # deep
    yield b"\x81\xa1x" * 5000 + b"\xc0"
    yield b"\xdd\xff\xff\xff\xff"  # counts larger than the remaining bytes
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
