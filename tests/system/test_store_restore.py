"""One backup contains the log and the locks, and one command restores it."""

import os
import re
import shutil
import sqlite3
import subprocess

import pytest

import pregon

DOCUMENT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "operations.md")


@pytest.fixture
def path(system):
    os.mkdir(system.path("data"))
    return system.path("data/pregon.db")


def epoch_of(broker):
    return broker.wait_for_log(r"log epoch ([0-9a-f]{16})", after=broker.mark).group(1)


def fed(feed, first, last):
    for n in range(first, last + 1):
        feed.quote("X", last=str(n), n=n)
    feed.wait_processed()


def run(system, *flags):
    return subprocess.run([os.path.join(pregon.BIN, "pregon-broker"), *flags], text=True,
                          capture_output=True, timeout=60, cwd=system.directory.name)


def backed_up(system, path, name="copy.db"):
    done = run(system, f"--store=sqlite:{path}", f"--backup={name}")
    assert done.returncode == 0, done.stderr
    return system.path(name)


def restored(system, path, backup):
    done = run(system, f"--store=sqlite:{path}", f"--restore={backup}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def files(path):
    """The files of the folder; process numbers in lock files do not count."""
    found = {}
    for name in os.listdir(os.path.dirname(path)):
        if not name.endswith("-lock"):
            with open(os.path.join(os.path.dirname(path), name), "rb") as f:
                found[name] = f.read()
    return found


def documented():
    """The lines of code under "Backup and restore"."""
    with open(DOCUMENT, encoding="utf-8") as f:
        section = re.search(r"### Backup and restore\n(.*?)\n### ", f.read(), re.S)[1]
    return re.findall(r"^    (\S.*)$", section, re.M)


def test_the_documented_commands_bring_back_log_locks_and_values(system, path):
    broker = system.broker(store=f"sqlite:{path}")
    feed, locker = system.feed(broker), system.locker(broker, "me")
    token = locker.acquire("L", ttl_ms=60000)
    locker.put("L", b"kept")
    old = epoch_of(broker)
    fed(feed, 1, 10)
    pregon.eventually(
        lambda: system.control(broker).request("status")["store"]["stored"], lambda n: n == 10
    )
    env = {**os.environ, "PATH": pregon.BIN + ":" + os.environ["PATH"]}
    ran = []
    for line in documented():
        if line == "# stop the broker":
            fed(feed, 11, 20)  # after the backup
            locker.put("L", b"later")
            feed.goodbye()
            broker.stop()
        elif line.startswith("# start the broker"):
            broker.start()
            broker.wait_for_log(re.search('"(.*)"', line)[1].replace("(", ".").replace(")", "."))
        else:
            subprocess.run(
                ["bash", "-ec", line], check=True, cwd=system.directory.name, env=env, timeout=60
            )
            ran.append(line)
    assert ["--backup" in line for line in ran] == [True, False] and "--restore" in ran[1]
    assert epoch_of(broker) != old
    again = system.locker(broker, "you")
    entry = again.entry("L")
    assert (entry["state"], entry["owner"], entry["token"]) == ("held", "me", token)
    assert again.get("L")["value"] == b"kept"
    client = system.client(system.gateway(broker), "?symbols=X")
    client.receive("snapshot", n=10)
    fed(system.feed(broker, name="other"), 21, 21)
    assert client.receive("quote", n=21)["seq"] > 20
    names = os.listdir(os.path.dirname(path))
    assert {"pregon.db.old-1", "pregon.db-locks.old-1"} <= set(names)
    assert not [n for n in names if "restore" in n]
    # The former store can still be opened.
    with sqlite3.connect(path + ".old-1") as db:
        assert db.execute("SELECT max(seq) FROM log").fetchone()[0] >= 20


def test_a_store_in_use_is_not_restored_under_any_of_its_names(system, path):
    broker = system.broker(store=f"sqlite:{path}")
    feed = system.feed(broker)
    fed(feed, 1, 3)
    backup = backed_up(system, path)
    os.symlink("data/pregon.db", system.path("link.db"))
    os.link(path, system.path("data/hard.db"))
    for name in (path, system.path("link.db"), system.path("data/hard.db")):
        done = run(system, f"--store=sqlite:{name}", f"--restore={backup}")
        assert done.returncode == 2 and "the store is in use" in done.stderr
    os.remove(system.path("data/hard.db"))
    fed(feed, 4, 5)
    broker.stop()
    broker.start()
    assert not broker.logged("restored")


@pytest.mark.parametrize(
    "what", ["nothing", "text", "damaged", "cut", "other", "store", "memory", "both"]
)
def test_an_invalid_backup_is_refused_and_nothing_changes(system, path, what):
    broker = system.broker(store=f"sqlite:{path}")
    fed(system.feed(broker), 1, 500)
    broker.stop()
    backup, store = backed_up(system, path), f"sqlite:{path}"
    if what == "nothing":
        backup = system.path("nowhere.db")
    elif what == "text":
        system.path("copy.db", "this is no database\n" * 1000)
    elif what == "damaged":
        with open(backup, "r+b") as f:
            f.seek(8192)
            f.write(b"\xa5" * 16384)
    elif what == "cut":
        os.truncate(backup, os.path.getsize(backup) // 2)
    elif what == "other":
        os.remove(backup)
        with sqlite3.connect(backup) as db:
            db.execute("CREATE TABLE t (x)")
    elif what == "store":
        backup = path
    elif what == "memory":
        store = "memory"
    before = files(path)
    flags = [f"--store={store}", f"--restore={backup}"] + (
        ["--backup=x.db"] if what == "both" else []
    )
    done = run(system, *flags)
    assert done.returncode == (2 if what in ("memory", "both") else 1), done.stderr
    assert done.stderr.startswith(
        "CRITICAL: BACKUP and RESTORE are both" if what == "both" else "RESTORE: "
    )
    assert files(path) == before


def test_a_machine_without_the_store_gets_log_and_locks_from_the_backup(system, path):
    broker = system.broker(store=f"sqlite:{path}")
    locker = system.locker(broker, "me")
    token = locker.acquire("L", ttl_ms=60000)
    fed(system.feed(broker), 1, 10)
    pregon.eventually(
        lambda: system.control(broker).request("status")["store"]["stored"], lambda n: n == 10
    )
    backup = backed_up(system, path)
    broker.stop()
    os.mkdir(system.path("ñew disk"))
    elsewhere = system.path("ñew disk/a b.db")
    said = restored(system, elsewhere, backup)
    assert "position 10" in said and "1 locks" in said and "old-" not in said
    assert sorted(n for n in os.listdir(os.path.dirname(elsewhere)) if not n.endswith("-lock")) == \
        ["a b.db", "a b.db-locks"]
    broker = system.broker(store=f"sqlite:{elsewhere}")
    broker.wait_for_log("new epoch .restored.")
    assert system.locker(broker, "you").entry("L")["token"] == token
    with sqlite3.connect(elsewhere) as db:
        assert not db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'backup%'").fetchall()


def test_a_copy_of_a_closed_store_is_restored_with_a_new_epoch_and_the_locks_stay(system, path):
    broker = system.broker(store=f"sqlite:{path}")
    old = epoch_of(broker)
    token = system.locker(broker, "me").acquire("L", ttl_ms=60000)
    fed(system.feed(broker), 1, 10)
    broker.stop()
    shutil.copy(path, system.path("cp.db"))
    assert "no locks" in restored(system, path, system.path("cp.db"))
    restored(system, path, system.path("cp.db"))  # a second time
    assert {"pregon.db.old-1", "pregon.db.old-2"} <= set(os.listdir(os.path.dirname(path)))
    broker.start()
    broker.wait_for_log("new epoch .restored.", after=broker.mark)
    assert epoch_of(broker) != old
    assert system.locker(broker, "you").entry("L")["token"] == token
