"""The wall clock is set while the broker runs: nothing is pruned or refused, and no quote counts as
late."""

import os
import sqlite3
import struct
import subprocess
import time

import pytest

import pregon

DAY = 86400

# Adds the seconds in the first 8 bytes of $SHIFT_FILE to clock_gettime(CLOCK_REALTIME).
SHIFT_C = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *shift;

__attribute__((constructor)) static void map(void)
{
    int fd = open(getenv("SHIFT_FILE"), O_RDONLY | O_CLOEXEC);

    shift = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, id, t);

    if (!rc && id == CLOCK_REALTIME && shift)
        t->tv_sec += *shift;
    return rc;
}
"""


class Clock:
    """Sets the time of day that one process gets."""

    def __init__(self, system):
        if pregon.IS_SANITIZED:
            pytest.skip("a sanitizer must be the first library")
        source, self.library, self.file = (system.path(n) for n in ("shift.c", "shift.so", "shift"))
        system.path("shift.c", SHIFT_C)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", source, "-o", self.library], check=True)
        self.set(0)
        self.env = {"LD_PRELOAD": self.library, "SHIFT_FILE": self.file}

    def set(self, seconds):
        with open(self.file, "r+b" if os.path.exists(self.file) else "wb") as f:
            f.write(struct.pack("q", seconds))


def stored(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return [seq for seq, in db.execute("SELECT seq FROM log ORDER BY seq")]


def fed(feed, symbol, first, last):
    for n in range(first, last + 1):
        feed.quote(symbol, last=str(n), n=n)
    feed.wait_processed()


def test_a_clock_three_days_ahead_prunes_nothing_and_is_reported(system):
    clock, path = Clock(system), system.path("pregon.db")
    broker = system.broker(store=f"sqlite:{path}", env=clock.env)
    gateway, control, feed = system.gateway(broker), system.control(broker), system.feed(broker)
    client = system.client(gateway, "?symbols=X&mode=all")
    client.receive("ack")
    fed(feed, "X", 1, 100)

    def is_stored(upto):
        return pregon.eventually(lambda: control.request("status")["store"],
                                 lambda s: s["stored"] == upto, "all of it stored")

    is_stored(100)
    clock.set(3 * DAY)
    broker.wait_for_log(r"The clock jumped by 259\d\d\d\.\d+ s")
    # Batch after batch, each with its pruning.
    for n in range(101, 104):
        fed(feed, "X", n, n)
        is_stored(n)
    status = control.request("status")
    assert status["clock"]["jumps"] == 1 and status["clock"]["ahead_us"] // 1000000 in range(
        3 * DAY - 2, 3 * DAY + 2
    )
    clock.set(0)
    broker.wait_for_log(r"The clock jumped back to the time that it left")
    fed(feed, "X", 104, 120)
    status = is_stored(120)
    assert stored(path) == list(range(1, 121))
    assert status["behind_max_us"] < DAY * 1e6 and status["behind_us"] < DAY * 1e6
    client.receive("quote", n=120)
    assert [m["n"] for m in client.messages if m["type"] == "quote"] == list(range(1, 121))


def test_a_clock_that_is_ahead_at_the_start_prunes_nothing(system):
    clock, path = Clock(system), system.path("pregon.db")
    broker = system.broker(store=f"sqlite:{path}", env=clock.env)
    fed(system.feed(broker), "X", 1, 100)
    broker.stop()
    clock.set(3 * DAY)
    broker.start()
    control, feed = system.control(broker), system.feed(broker, "other")
    for n in range(101, 104):
        fed(feed, "X", n, n)
        pregon.eventually(lambda: control.request("status")["store"]["stored"], lambda s: s == n)
    broker.stop()
    assert stored(path)[:100] == list(range(1, 101))


def test_a_clock_that_is_set_back_refuses_no_quote_and_prunes_nothing(system):
    clock, path = Clock(system), system.path("pregon.db")
    broker = system.broker(store=f"sqlite:{path}", env=clock.env)
    control, feed = system.control(broker), system.feed(broker)
    locker = system.locker(broker, "me")
    token = locker.acquire("L", ttl_ms=60000)
    fed(feed, "X", 1, 10)
    clock.set(-3 * DAY)
    broker.wait_for_log(r"The clock jumped by -259\d\d\d\.\d+ s")
    for n in range(11, 21):
        feed.quote("X", last="1", n=n, timestamp=time.time())
    feed.wait_processed()
    assert control.request("status")["feeds"][0]["accepted"] == 20
    assert locker.entry("L")["token"] == token and locker.entry("L")["state"] == "held"
    clock.set(0)
    broker.wait_for_log(r"The clock jumped back")
    fed(feed, "X", 21, 22)
    pregon.eventually(lambda: control.request("status")["store"]["stored"], lambda s: s == 22)
    assert stored(path) == list(range(1, 23))
