"""pregon-tail: quotes on standard output, and how it begins and ends."""

import json
import os
import pty
import re
import signal
import subprocess

import pytest

import consumer
import pregon


@pytest.fixture
def broker(system):
    return system.broker(store=f"sqlite:{system.path('pregon.db')}")


def fed(feed, symbol, first, last):
    for n in range(first, last + 1):
        feed.quote(symbol, last=str(n), n=n)
    feed.wait_processed()


def command(broker, *words):
    where = [f"--broker-{key}={address}" for key, address in consumer.addresses(broker).items()]
    return [os.path.join(pregon.BIN, "pregon-tail"), *where, *words]


def ran(broker, *words, **how):
    return subprocess.run(command(broker, *words), capture_output=True, text=True,
                          env=pregon.plain_environment(), timeout=pregon.PATIENCE + 15, **how)


def position_of(text):
    return re.search(r"--since ([0-9a-f]{16}:\d+)", text)[1]


def test_a_feed_of_thousands_is_written_line_for_line(system, broker):
    tail = consumer.tail(system, broker, "X", "SIM*", log_level="debug")
    tail.wait_for_log("Up to date", stream="err")
    feeder = system.feeder(broker, "-", wait=False)
    feeder.write("".join(f'{{"symbol":"X","last":"{n}"}}\n' for n in range(1, 5001)))
    feeder.end_of_input()
    feeder.wait_for_exit()
    sent = int(re.search(r": (\d+) lines, ", "\n".join(feeder.log("err")))[1])
    assert sent == 5000
    tail.receive("quote", last="5000")
    tail.receive("state", state="stale")  # the feeder has left
    tail.stop()
    assert [m["last"] for m in tail.received("quote")] == [str(n) for n in range(1, sent + 1)]


def test_symbols_are_words_and_only_they_are_followed(system, broker):
    feed = system.feed(broker)
    for symbol in ("BTC/USD", "BTC/EUR", "EUR/USD", "GC=F", "OTHER"):
        feed.quote(symbol, last="1")
    feed.wait_processed()
    result = ran(broker, "BTC*", "--count=4", "EUR/USD", "--", "GC=F")
    assert result.returncode == 0
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert {m["symbol"] for m in told} == {"BTC/USD", "BTC/EUR", "EUR/USD", "GC=F"}
    assert {m["type"] for m in told} == {"snapshot"}


@pytest.mark.parametrize("words,said", [
    (["EUR USD"], "SYMBOLS: 'EUR USD' is no symbol"),
    (["--since", "yesterday"], "SINCE='yesterday': must be EPOCH:SEQ"),
    (["--count", "-1"], "COUNT=\"-1\""),
    (["--mode", "some"], "MODE=\"some\""),
    (["-x"], "\"-x\" is not a flag"),
    (["--broker-publish", "nowhere"], "BROKER_PUBLISH"),
])
def test_wrong_arguments_of_tail_end_it_with_code_2(system, broker, words, said):
    result = ran(broker, *words)
    assert result.returncode == 2
    assert said in result.stderr and not result.stdout


def test_help_names_the_words_and_their_flag():
    result = subprocess.run([os.path.join(pregon.BIN, "pregon-tail"), "--help"],
                            capture_output=True, text=True, check=True)
    assert result.stdout.startswith("usage: pregon-tail [--NAME VALUE]... [SYMBOL]...\n")
    assert "--symbols LIST, SYMBOL...\n" in result.stdout


def test_tail_goes_on_from_the_position_it_printed_also_after_a_killed_broker(system, broker):
    feed = system.feed(broker)
    fed(feed, "X", 1, 100)
    epoch = f"{system.control(broker).request('status')['epoch']:016x}"
    since, numbers = f"{epoch}:0", []
    for life in range(4):
        result = ran(broker, "--since", since, "--count", "25", "X")
        numbers += [json.loads(line)["n"] for line in result.stdout.splitlines()]
        since = position_of(result.stderr)
        if life == 1:
            broker.kill()
            broker.start()
    assert numbers == list(range(1, 101))


def test_an_end_by_a_signal_prints_the_position_and_is_no_failure(system, broker):
    feed = system.feed(broker)
    tail = consumer.tail(system, broker)
    fed(feed, "X", 1, 3)
    tail.receive(n=3)
    tail.signal(signal.SIGINT)
    tail.wait_for_exit(0)
    since = position_of("\n".join(tail.log("err")))
    fed(feed, "X", 4, 5)
    again = consumer.tail(system, broker, since=since)
    again.receive("quote", n=5)
    assert again.numbers()[-2:] == [4, 5] and not again.received("snapshot")


def test_no_snapshot_begins_with_what_comes(system, broker):
    feed = system.feed(broker)
    fed(feed, "X", 1, 3)
    tail = consumer.tail(system, broker, flags=["--no-snapshot"], log_level="debug")
    tail.wait_for_log("Up to date", stream="err")
    fed(feed, "X", 4, 4)
    tail.receive("quote", n=4)
    assert len(tail.messages()) == 1


def test_tail_ends_with_its_reader_whether_or_not_quotes_arrive(system, broker):
    feed = system.feed(broker)
    fed(feed, "X", 1, 1)
    process = subprocess.Popen(command(broker), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=pregon.plain_environment(), text=True)
    assert json.loads(process.stdout.readline())["n"] == 1
    process.stdout.close()  # as `| head -1`; nothing comes any more
    assert process.wait(pregon.PATIENCE) == 0
    assert not process.stderr.read()
    process.stderr.close()


def test_a_full_disk_is_a_failure(system, broker):
    fed(system.feed(broker), "X", 1, 1)
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run(command(broker), stdout=full, stderr=subprocess.PIPE, text=True,
                                env=pregon.plain_environment(), timeout=pregon.PATIENCE)
    assert result.returncode == 1
    assert "standard output: No space left on device" in result.stderr


def test_a_reader_that_sleeps_holds_up_nothing_and_misses_nothing(system, broker):
    feed = system.feed(broker)
    process = subprocess.Popen(command(broker, "--no-snapshot", "--log-level", "debug"),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=pregon.plain_environment(), text=True)
    while "Up to date" not in process.stderr.readline():
        pass
    for n in range(1, 3001):
        feed.quote("X", last="1", n=n, note="x" * 200)
    feed.wait_processed()
    numbers = [json.loads(process.stdout.readline())["n"] for _ in range(3000)]
    assert numbers == list(range(1, 3001))
    # The program handles a signal although its output is not read.
    for n in range(3001, 4001):
        feed.quote("X", last="1", n=n, note="x" * 200)
    feed.wait_processed()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    process.stdout.close()
    # 1: the second signal came after the end of its loop, and ended the program at once.
    assert process.wait(pregon.PATIENCE) in (0, 1)
    process.stderr.close()


def test_the_broker_s_absence_is_reported_on_standard_error_once(system, broker):
    tail = consumer.tail(system, broker)
    fed(system.feed(broker), "X", 1, 1)
    tail.receive(n=1)
    broker.signal(signal.SIGSTOP)
    tail.wait_for_log("WARNING:.*The broker is away", stream="err")
    broker.signal(signal.SIGCONT)
    tail.wait_for_log("The broker is here again", stream="err")
    tail.stop()
    assert len(tail.logged("is away")) == 1


def test_tail_in_mode_merge_skips_values_that_it_could_not_read_in_time(system, broker):
    feed = system.feed(broker)
    tail = consumer.tail(system, broker, mode="merge", log_level="debug")
    tail.wait_for_log("Up to date", stream="err")
    tail.signal(signal.SIGSTOP)
    fed(feed, "X", 1, 3000)
    tail.signal(signal.SIGCONT)
    tail.receive(n=3000)
    assert len(tail.messages()) < 3000


def on_a_terminal(broker, env, *words):
    leader, follower = pty.openpty()
    process = subprocess.Popen(command(broker, *words), stdout=follower, stderr=subprocess.PIPE,
                               env={**pregon.plain_environment(), **env})
    os.close(follower)
    text = b""
    try:
        while more := os.read(leader, 65536):
            text += more
    except OSError:
        pass  # how a terminal ends
    process.communicate(timeout=pregon.PATIENCE)
    os.close(leader)
    return text.decode()


def test_a_terminal_gets_a_table_in_colour_unless_it_asks_not_to(system, broker):
    system.feed(broker).quote("EUR/USD", bid="1.0842", ask="1.08430")
    plain = r"\d\d:\d\d:\d\d\.\d{3}  EUR/USD +1\.0842 +1\.08430\r\n"
    text = on_a_terminal(broker, {}, "--count=1")
    assert text.startswith("ACCEPTED")
    assert re.search("\x1b\\[2m" + plain.replace("\r", "").replace(r"\r\n", "") , text)
    assert re.search(plain, on_a_terminal(broker, {"NO_COLOR": "1"}, "--count=1"))
    assert "\x1b" not in on_a_terminal(broker, {"NO_COLOR": "1"}, "--count=1")
    assert json.loads(on_a_terminal(broker, {}, "--count=1", "--format=json"))
    piped = ran(broker, "--count=1", "--format=table").stdout
    assert piped.startswith("ACCEPTED") and "\x1b" not in piped
