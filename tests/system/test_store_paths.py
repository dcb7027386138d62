"""Where a store may be, and that one file has one broker, under any name of the file."""

import os
import sqlite3
import subprocess

import pytest

import pregon


def started(system, path, **settings):
    return system.broker(store=f"sqlite:{path}", **settings)


def fed(feed, symbol, first, last):
    for n in range(first, last + 1):
        feed.quote(symbol, last=str(n), n=n)
    feed.wait_processed()


def epoch_of(broker):
    return broker.wait_for_log(r"log epoch ([0-9a-f]{16})", after=broker.mark).group(1)


def refused(system, path, code):
    broker = system.broker(wait=False, store=f"sqlite:{path}")
    broker.wait_for_exit(code)
    return "\n".join(broker.log("err"))


def symbolic(folder, real):
    os.symlink("pregon.db", folder + "/link.db")
    return folder + "/link.db"


def hard(folder, real):
    os.link(real, folder + "/hard.db")
    return folder + "/hard.db"


def linked_folder(folder, real):
    os.symlink(folder, folder + "/elsewhere")
    return folder + "/elsewhere/pregon.db"


def roundabout(folder, real):
    os.mkdir(folder + "/sub")
    return folder + "/sub/../pregon.db"


@pytest.mark.parametrize("other_name", [symbolic, hard, linked_folder, roundabout])
def test_a_second_broker_is_refused_whatever_name_it_gives_the_store(system, other_name):
    path = system.path("pregon.db")
    broker = started(system, path)
    feed = system.feed(broker)
    fed(feed, "X", 1, 3)
    words = refused(system, other_name(os.path.dirname(path), path), code=2)
    assert "the store is in use" in words
    fed(feed, "X", 4, 6)
    broker.stop()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM epochs").fetchone() == (1,)
        assert db.execute("SELECT max(seq) FROM log").fetchone() == (6,)


def test_a_log_goes_on_whether_it_is_opened_by_a_link_or_by_its_own_name(system):
    """Ring and locks are beside the file itself."""
    path, link = system.path("disk/pregon.db"), system.path("pregon.db")
    os.mkdir(os.path.dirname(path))
    os.symlink("disk/pregon.db", link)  # to a file that does not exist yet
    broker = started(system, link)
    epoch = epoch_of(broker)
    locker = system.locker(broker, "me")
    token = locker.acquire("L", ttl_ms=60000)
    fed(system.feed(broker), "X", 1, 3)
    broker.kill()
    assert {"pregon.db", "pregon.db-ring", "pregon.db-locks"} <= set(
        os.listdir(os.path.dirname(path))
    )
    assert not [n for n in os.listdir(os.path.dirname(link)) if n.startswith("pregon.db-")]
    broker = started(system, path)
    assert epoch_of(broker) == epoch
    assert system.locker(broker, "you").entry("L")["token"] == token


@pytest.mark.parametrize("which", ["ring", "locks"])
def test_a_file_that_lies_beside_a_link_is_named_and_not_forgotten(system, which):
    path, link = system.path("disk/pregon.db"), system.path("pregon.db")
    os.mkdir(os.path.dirname(path))
    started(system, path).stop()
    os.symlink("disk/pregon.db", link)
    os.rename(f"{path}-{which}", f"{link}-{which}")
    words = refused(system, link, code=1)
    assert f"{link}-{which}" in words and f"{path}-{which}" in words
    os.rename(f"{link}-{which}", f"{path}-{which}")
    broker = started(system, link)
    broker.wait_for_log("The store has|Started pregon-broker")
    assert not broker.logged("new epoch")


@pytest.mark.parametrize("name", ["with spaces.db", "cotización ñ €.db", "'quo\"ted'.db", "50%s.db",
                                  "file:x?mode=memory", ":memory:", "-dash.db"])
def test_any_name_can_be_a_store(system, name):
    path = system.path("some folder ü/" + name)
    os.mkdir(os.path.dirname(path))
    broker = started(system, path)
    epoch = epoch_of(broker)
    fed(system.feed(broker), "X", 1, 3)
    broker.kill()
    assert {name, name + "-ring", name + "-locks"} <= set(os.listdir(os.path.dirname(path)))
    broker.start()
    assert epoch_of(broker) == epoch


def test_a_folder_that_cannot_be_written_is_named_and_nothing_changes(system):
    path = system.path("disk/pregon.db")
    folder = os.path.dirname(path)
    os.mkdir(folder)
    started(system, path).stop()
    os.chmod(system.directory.name, 0o755)
    os.chmod(folder, 0o555)
    before = {n: os.stat(os.path.join(folder, n)).st_mtime_ns for n in os.listdir(folder)}
    # As a user without rights there: root may do everything.
    user = {"user": 65534} if os.geteuid() == 0 else {}
    done = subprocess.run([os.path.join(pregon.BIN, "pregon-broker"), "--store", f"sqlite:{path}"],
                          capture_output=True, text=True, timeout=pregon.PATIENCE, cwd="/", **user)
    assert done.returncode == 1 and folder in done.stderr and "permission" in done.stderr
    assert before == {n: os.stat(os.path.join(folder, n)).st_mtime_ns for n in os.listdir(folder)}
    os.chmod(folder, 0o755)


def test_a_store_that_is_not_a_regular_file_is_refused_at_once(system):
    fifo = system.path("pipe")
    os.mkfifo(fifo)
    for path in (fifo, "/dev/null"):
        done = subprocess.run(
            [os.path.join(pregon.BIN, "pregon-broker"), "--store", f"sqlite:{path}"],
            capture_output=True,
            text=True,
            timeout=pregon.PATIENCE,
            cwd=system.directory.name,
        )
        assert done.returncode == 1
        assert f"store {path}: it is a device or a pipe, not a file; name a file" in done.stderr
