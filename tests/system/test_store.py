"""The log in a file: what survives a restart, when a new epoch begins, and how a failing disk is
reported."""

import os
import shutil
import signal
import sqlite3
import subprocess

import pytest

import pregon


@pytest.fixture
def path(system):
    return system.path("pregon.db")


def started(system, path, **settings):
    return system.broker(store=f"sqlite:{path}", **settings)


def fed(feed, symbol, first, last, **more):
    for n in range(first, last + 1):
        feed.quote(symbol, last=str(n), n=n, **more)
    feed.wait_processed()


def numbers(client, symbol="X"):
    return [m["n"] for m in client.messages if m["type"] == "quote" and m["symbol"] == symbol]


def epoch_of(broker):
    """The epoch at its last start."""
    return broker.wait_for_log(r"log epoch ([0-9a-f]{16})", after=broker.mark).group(1)


def refused(system, path, code=1, **settings):
    """A broker that does not start: its last words."""
    broker = system.broker(wait=False, store=f"sqlite:{path}", **settings)
    broker.wait_for_exit(code)
    return "\n".join(broker.log("err"))


def rows(path, query):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return db.execute(query).fetchall()


# --- what survives ------------------------------------------------------------------------


def test_a_second_signal_ends_a_broker_that_cannot_store_and_nothing_is_lost(system, path):
    broker = started(system, path, timeout_graceful_shutdown=600)
    epoch = epoch_of(broker)
    feed = system.feed(broker)
    fed(feed, "X", 1, 10)
    control = system.control(broker)
    pregon.eventually(lambda: control.request("status")["store"]["stored"], lambda n: n == 10)
    locked = sqlite3.connect(path, isolation_level=None)
    locked.execute("BEGIN IMMEDIATE")  # the disk accepts no data any more
    fed(feed, "X", 11, 30)
    broker.signal(signal.SIGTERM)
    broker.wait_for_log("Shutting down")
    broker.signal(signal.SIGINT)
    broker.wait_for_exit(1)
    assert not broker.logged("Finished") and not broker.logged("not stored")
    locked.close()
    broker.start()
    assert epoch_of(broker) == epoch
    answer = system.gateway(broker).page("quotes/X/history?limit=1000&order=oldest")
    assert [r["n"] for r in answer["records"]] == list(range(1, 31)) and not answer["gaps"]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_after_a_restart_no_hole_and_nothing_twice_reaches_a_client(system, path, end):
    broker = started(system, path)
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    every = system.client(gateway, "?mode=all")
    newest = system.client(gateway, "?symbols=X,Y")
    every.receive("ack"), newest.receive("ack")
    fed(feed, "Y", 1, 1)
    for life in range(5):
        fed(feed, "X", life * 100 + 1, life * 100 + 100)
        getattr(broker, end)()
        broker.start()
    fed(feed, "X", 501, 510)
    every.receive("quote", n=510)
    newest.wait_until(lambda all: any(m.get("n") == 510 for m in all))
    assert numbers(every) == list(range(1, 511))
    assert not every.received("reset") and not every.received("lost")
    positions = [m["seq"] for m in every.messages if m["type"] == "quote"]
    assert positions == sorted(set(positions))
    assert rows(path, "SELECT count(*) FROM epochs") == [(1,)]


def test_last_values_and_positions_are_there_again(system, path):
    broker = started(system, path)
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    fed(feed, "X", 1, 7)
    epoch, head = epoch_of(broker), feed.received
    system.client(gateway, "?symbols=X").receive("snapshot", n=7)
    feed.close()
    broker.kill()
    broker.start()
    fresh = system.gateway(broker)
    client = system.client(fresh, "?symbols=X")
    assert client.receive("ack")["epoch"] == epoch
    assert client.receive("snapshot", n=7)["seq"] == head
    client.receive("state", symbol="X", state="stale")  # its feed does not return


def test_a_client_resumes_from_the_store_what_the_ring_has_no_longer(system, path):
    broker = started(system, path, journal_bytes=1048576)
    gateway = system.gateway(broker, client_queue=16 << 20)
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=X&mode=all")
    client.receive("ack")
    fed(feed, "X", 1, 3)
    seq = client.receive("quote", n=3)["seq"]
    epoch = client.received("ack")[0]["epoch"]
    client.close()
    for n in range(4, 4004):
        feed.quote("X", last="1", n=n, note="x" * 1000)
        feed.quote("OTHER", last="1")
        if n % 500 == 0:
            feed.wait_processed()
    feed.wait_processed()
    for mode, where in (("all", gateway), ("all", system.gateway(broker)), ("merge", gateway)):
        client = system.client(where, f"?symbols=X&mode={mode}&since={epoch}:{seq}")
        assert client.receive("ack")["recovered"] is True
        client.receive(("quote", "snapshot"), n=4003)
        if mode == "all":
            assert numbers(client) == list(range(4, 4004))


def test_pruned_records_are_not_recovered(system, path):
    broker = started(system, path, journal_bytes=1048576, retention_count=1000)
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    fed(feed, "X", 1, 5000, note="x" * 500)
    pregon.eventually(
        lambda: rows(path, "SELECT count(*), max(seq) FROM log")[0],
        lambda log: log[0] <= 1000 and log[1] == 5000,
        "that all is stored and pruned",
    )
    client = system.client(gateway, f"?symbols=X&mode=all&since={epoch_of(broker)}:2")
    assert client.receive("ack")["recovered"] is False
    client.receive("snapshot", n=5000)


def test_feeders_learn_what_is_stored(system, path):
    broker = started(system, path)
    control = system.control(broker)
    fed(system.feed(broker), "X", 1, 100)
    pregon.eventually(lambda: control.request("status"),
                      lambda s: s["store"]["stored"] == 100 and s["feeds"][0]["stored"] == 100,
                      "all of it in the store")
    status = control.request("status")["store"]
    assert (status["kind"], status["durable"], status["gaps"]) == ("sqlite", True, 0)


# --- what begins anew ----------------------------------------------------------------------


def lived(system, path, count=10):
    broker = started(system, path)
    fed(system.feed(broker), "X", 1, count)
    broker.stop()
    return epoch_of(broker)


def change_boot(path):
    """Make the ring look as if the machine had stopped: from another boot, and not closed."""
    with open(path + "-ring", "r+b") as f:
        head = f.read(4096)
        with open("/proc/sys/kernel/random/boot_id", "rb") as b:
            boot = b.read(36)
        at = head.index(boot)
        f.seek(at)
        f.write(b"00000000-0000-0000-0000-000000000000")


def test_a_copy_put_back_begins_a_new_epoch_above_all_positions(system, path):
    old = lived(system, path)
    shutil.copy(path, path + ".old")
    broker = started(system, path)
    assert epoch_of(broker) == old
    fed(system.feed(broker), "X", 11, 20)
    broker.stop()
    shutil.move(path + ".old", path)
    for tail in ("-wal", "-shm"):
        if os.path.exists(path + tail):
            os.remove(path + tail)

    broker = started(system, path)
    assert epoch_of(broker) != old
    broker.wait_for_log("new epoch .restored.")
    gateway = system.gateway(broker)
    client = system.client(gateway, f"?symbols=X&mode=all&since={old}:20")
    assert client.receive("ack")["recovered"] is False
    client.receive("snapshot", n=10, state="stale")
    fed(system.feed(broker, name="other"), "X", 30, 30)
    assert client.receive("quote", n=30)["seq"] > 20


@pytest.mark.parametrize("what, reason", [
    ("ring", "journal_deleted"), ("store", "store_deleted"), ("boot", "machine_stopped")])
def test_a_log_that_is_not_whole_begins_a_new_epoch(system, path, what, reason):
    if what == "boot":
        broker = started(system, path)
        fed(system.feed(broker), "X", 1, 10)
        old = epoch_of(broker)
        broker.kill()
        change_boot(path)
    else:
        old = lived(system, path)
        for name in os.listdir(os.path.dirname(path)):
            is_ring = name == "pregon.db-ring"
            if name.startswith("pregon.db") and is_ring == (what == "ring"):
                os.remove(os.path.join(os.path.dirname(path), name))
    broker = started(system, path)
    assert epoch_of(broker) != old
    broker.wait_for_log(f"new epoch .{reason}.")


def test_a_backup_made_while_quotes_flow_is_whole_and_begins_its_own_epoch(system, path):
    broker = started(system, path)
    feeder = system.feeder(broker, "sim:20?rate=5000", feed="sim")
    control = system.control(broker)
    pregon.eventually(
        lambda: control.request("status")["store"]["stored"], lambda n: n > 3000, "quotes"
    )
    copy = system.path("copy.db")
    command = [os.path.join(pregon.BIN, "pregon-broker"), "--store", f"sqlite:{path}",
               "--backup", copy]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.returncode == 1 and copy in again.stderr
    feeder.stop()
    (count, first, last), = rows(copy, "SELECT count(*), min(seq), max(seq) FROM log")
    assert count == last - first + 1 > 3000
    other = started(system, copy)
    assert epoch_of(other) != epoch_of(broker)
    other.wait_for_log("new epoch .restored.")


def test_lines_that_an_older_log_had_received_are_reported_as_log_replaced(system, path):
    broker = started(system, path)
    gateway = system.gateway(broker)
    client = system.client(gateway, "?symbols=X&mode=all")
    client.receive("ack")
    feeder = system.feeder(broker, "-", feed="test")
    control = system.control(broker)

    def says(first, last):
        for n in range(first, last + 1):
            feeder.write('{"symbol":"X","last":"%d","n":%d}\n' % (n, n))
        client.receive("quote", n=last)
        pregon.eventually(lambda: control.request("status")["feeds"][0]["stored"],
                          lambda n: n == last)

    says(1, 10)
    copy = system.path("copy.db")
    subprocess.run([os.path.join(pregon.BIN, "pregon-broker"), "--store", f"sqlite:{path}",
                    "--backup", copy], check=True, capture_output=True, timeout=60)
    says(11, 20)
    feeder.signal(signal.SIGSTOP)  # or its report could precede the client's start in the new log
    broker.stop()
    for name in (path, path + "-wal", path + "-shm"):
        if os.path.exists(name):
            os.remove(name)
    shutil.move(copy, path)
    broker.start()
    client.receive("reset")
    feeder.signal(signal.SIGCONT)
    feeder.write('{"symbol":"X","last":"21","n":21}\n')
    lost = client.receive("lost")
    assert (lost["feed"], lost["first"], lost["last"]) == ("test", 11, 20)
    assert lost["reason"] == "log_replaced"
    client.receive("quote", n=21)
    broker.wait_for_log("feed test lost lines 11 to 20: log_replaced")
    feeder.wait_for_log("lines 11 to 20 .10. were received, but the broker's log is another one")


# --- what cannot be kept -----------------------------------------------------------------------


def test_a_store_that_cannot_be_used_is_named_at_start(system, path):
    assert "no such" in refused(system, "/nowhere/x.db").lower()
    with open(path, "w", encoding="ascii") as f:
        f.write("this is no database, whatever its name says\n" * 100)
    words = refused(system, path)
    assert path in words
    with open(path, encoding="ascii") as f:
        assert f.read(20) == "this is no database,"


def test_a_newer_store_is_refused_and_left_alone(system, path):
    lived(system, path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 1000")
    assert "newer" in refused(system, path)


def test_one_store_has_one_broker(system, path):
    started(system, path)
    assert path in refused(system, path, code=2)


def test_invalid_store_settings_end_the_broker(system):
    for store in ("file.db", "sqlite:", "SQLITE:x"):
        broker = system.broker(wait=False, store=store)
        broker.wait_for_exit(code=2)
        broker.wait_for_log("sqlite:FILE or memory", stream="err")


def test_people_can_read_the_store(system, path):
    broker = started(system, path)
    feed = system.feed(broker)
    feed.quote("EUR/USD", bid="1.0842", ask="1.0843")
    feed.wait_processed()
    pregon.eventually(lambda: rows(path, "SELECT symbol, bid, ask FROM quotes"),
                      lambda found: found == [("EUR/USD", "1.0842", "1.0843")], "the quote")
    schema = rows(path, "SELECT sql FROM sqlite_master WHERE name = 'log'")[0][0]
    assert "--" in schema
