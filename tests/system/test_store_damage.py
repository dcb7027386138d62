"""A damaged part of the store: exactly the lost positions are reported, all others are
delivered."""

import sqlite3

import pytest

import pregon

PAGE = 8192


@pytest.fixture
def path(system):
    return system.path("pregon.db")


def fed(feed, first, last):
    for n in range(first, last + 1):
        feed.quote("X", last=str(n), n=n, note="x" * 300)
        if n % 1000 == 0:
            feed.wait_processed()
    feed.wait_processed()


def log_pages(path):
    """Every leaf page of the log: its number and its positions."""
    with sqlite3.connect(path) as db:
        numbers = [n for n, in db.execute("SELECT pageno FROM dbstat WHERE name = 'log' AND"
                                          " pagetype = 'leaf' ORDER BY path")]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    pages = []
    with open(path, "rb") as f:
        for number in numbers:
            f.seek((number - 1) * PAGE)
            page = f.read(PAGE)
            assert page[0] == 13
            seqs = []
            for i in range(int.from_bytes(page[3:5], "big")):
                at = int.from_bytes(page[8 + 2 * i:10 + 2 * i], "big")
                for _ in range(2):  # the payload's length, then the position
                    n, more = 0, True
                    while more:
                        n, more, at = n << 7 | page[at] & 0x7F, page[at] & 0x80, at + 1
                seqs.append(n)
            pages.append((number, min(seqs), max(seqs)))
    return pages


def overwrite(path, page, data):
    with open(path, "r+b") as f:
        f.seek((page - 1) * PAGE)
        f.write(data)


def lived(system, path, count=6000, **settings):
    """A log of `count` quotes, of which the ring has only the newest."""
    broker = system.broker(store=f"sqlite:{path}", journal_bytes=1048576, **settings)
    feed = system.feed(broker)
    fed(feed, 1, count)
    feed.close()
    epoch = broker.wait_for_log(r"log epoch ([0-9a-f]{16})", after=broker.mark).group(1)
    broker.stop()
    return broker, epoch


def lost_ranges(client):
    return [(m["first"], m["last"]) for m in client.messages if m["type"] == "lost"]


@pytest.mark.parametrize("end, data", [("stop", b"\0" * PAGE), ("kill", b"\xa5" * PAGE)],
                         ids=["stop-zeros", "kill-noise"])
def test_a_damaged_page_is_lost_to_clients_by_name_and_nothing_else_is(system, path, end, data):
    broker, epoch = lived(system, path)
    if end == "kill":
        broker.start()
        broker.kill()
    pages = log_pages(path)
    page, first, last = pages[len(pages) // 4]
    overwrite(path, page, data)
    broker.start()
    gateway = system.gateway(broker, client_queue=64 << 20)
    system.feed(broker, name="alive")  # so that health reports only the damage
    for _ in range(2):  # twice: it is reported to each client, and logged once
        client = system.client(gateway, f"?symbols=X&mode=all&since={epoch}:10")
        assert client.receive("ack")["recovered"] is True
        client.receive("quote", n=6000)
        assert lost_ranges(client) == [(first, last)]
        lost, = client.received("lost")
        assert (lost["reason"], lost["feed"], lost["count"]) == ("damaged", "", last - first + 1)
        numbers = [m["n"] for m in client.messages if m["type"] == "quote"]
        assert numbers == [n for n in range(11, 6001) if not first <= n <= last]
    seen = {(h["status"], h["reason"]) for h in (gateway.page("health") for _ in range(20))}
    assert len(seen) == 1
    (status, reason), = seen
    assert status == "degraded"
    assert f"page {page}" in reason and f"{first} to {last}" in reason and "restore" in reason
    health = gateway.page("health")["store"]
    assert (health["durable"], health["damaged"]) == (True, last - first + 1)
    assert len([line for line in broker.log("err") if "damaged" in line]) == 1
    # New quotes are delivered, stored and available to the next client.
    feed = system.feed(broker)
    fed(feed, 6001, 6100)
    client.receive("quote", n=6100)


def test_history_names_what_is_damaged(system, path):
    broker, epoch = lived(system, path)
    pages = log_pages(path)
    page, first, last = pages[len(pages) // 4]
    overwrite(path, page, b"\0" * PAGE)
    broker.start()
    gateway = system.gateway(broker)
    for order in ("oldest", "newest"):
        bound, numbers, gaps = "", [], []
        while bound is not None:
            answer = gateway.page(f"quotes/X/history?limit=1000&order={order}{bound}")
            numbers += [r["n"] for r in answer["records"] if r["type"] == "quote"]
            gaps += [(g["first"], g["last"], g["reason"]) for g in answer["gaps"]]
            bound = f"&next={answer['next']}" if answer["truncated"] else None
        assert sorted(numbers) == [n for n in range(1, 6001) if not first <= n <= last]
        assert gaps == [(first, last, "damaged")]


def test_retention_that_meets_damage_ends_and_says_so_once(system, path):
    broker, _ = lived(system, path)
    page, _, _ = log_pages(path)[2]
    overwrite(path, page, b"\0" * PAGE)
    broker.settings["retention_count"] = 1000
    broker.start()
    gateway = system.gateway(broker)
    fed(system.feed(broker, name="other"), 1, 100)
    broker.wait_for_log("Nothing is removed from the log any more")
    for n in range(2, 6):
        fed(system.feed(broker, name=f"other{n}"), 1, 100)
    assert gateway.page("health")["status"] == "degraded"
    assert len([line for line in broker.log("err") if "damaged" in line]) == 1
    assert gateway.page("health")["store"]["durable"] is True
