"""Programs that publish through libpregon: the C example, built as C and as C++."""

import os
import re
import subprocess

import pytest

import pregon

EXAMPLE = os.path.join(pregon.ROOT, "consumer", "examples", "publish.c")
FLAGS = os.environ.get("PREGON_CFLAGS", "").split()
LIBRARY = os.path.join(os.path.dirname(pregon.BIN), "libpregon.a")


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("publish")
    for compiler, language in (("gcc", "c"), ("g++", "c++")):
        subprocess.run(
            [compiler, "-x", language, "-Wall", "-Wextra", "-Werror", *FLAGS,
             f"-I{pregon.ROOT}/consumer/lib", EXAMPLE, "-x", "none", "-o", folder / language,
             LIBRARY, "-lzmq", "-lpthread"], check=True)
    return folder


def publisher(system, broker, program, feed="mine"):
    keys = ("broker_ingest", "broker_publish", "broker_control")
    process = pregon.Process(
        "publish", "tail", {}, cwd=system.directory.name, command=[str(program), feed],
        env={key.upper(): broker.settings[key] for key in keys}, stdin=subprocess.PIPE)
    system.processes.append(process)
    return process.start(wait=False)


def write(process, *lines):
    process.write("".join(line + "\n" for line in lines))


def records(gateway, symbol):
    answer = gateway.get(f"/cotizaciones/quotes/{symbol}/history?order=oldest")
    found = answer.json()["records"] if answer.status == 200 else []
    return [r for r in found if r["type"] == "quote"]


def end(process):
    process.end_of_input()
    process.wait_for_exit()


@pytest.mark.parametrize("language", ["c", "c++"])
def test_a_program_publishes_and_learns_what_was_refused(system, programs, language):
    broker, gateway = system.start()
    program = publisher(system, broker, programs / language)
    program.wait_for_log("^the feed is ours$")
    write(program, "EUR/USD bid=1.0842 ask=1.08430 note=1.50", "EUR/USD bid=1.0x", "eur bid=1",
          "EUR/USD bid=2 ask=1", "EUR/USD bid=1 bid=1", "EUR/USD note=1", "EUR/USD last=1e-7")
    for refusal in (
        "bid, bad_price: a price or size must be a decimal number, a size not negative",
        "symbol, bad_symbol: symbol must be 1 to 32 of A-Z 0-9 . _ : / = ^ -",
        "bid, crossed: bid is above ask",
        "bid, malformed: not a well-formed quote object",
        ", no_price: at least one of bid, ask, last must be there",
    ):
        program.wait_for_log(f"^not published: {re.escape(refusal)}$")
    end(program)
    assert program.logged("^2 of 2 quotes received$")
    first, second = records(gateway, "EUR/USD")
    assert {k: first[k] for k in ("bid", "ask", "note", "source")} == {
        "bid": "1.0842", "ask": "1.08430", "note": "1.50", "source": "mine"}
    assert second["last"] == "0.0000001"


def test_refusals_of_the_broker_reach_the_program(system, programs):
    broker = system.broker(max_symbols_total=16)
    program = publisher(system, broker, programs / "c")
    write(program, *(f"S{n} last=1" for n in range(20)))
    program.wait_for_log("^refused by the broker: quote 20, symbol: book_full$")
    end(program)
    assert program.logged("^20 of 20 quotes received$")


def test_a_program_whose_feed_is_held_stands_by_and_takes_over(system, programs):
    broker, gateway = system.start()
    first = publisher(system, broker, programs / "c")
    first.wait_for_log("^the feed is ours$")
    second = publisher(system, broker, programs / "c")
    second.wait_for_log(r"^feed mine is not ours, standing by: held: feed mine is held by pid \d+")
    write(second, "X last=2")
    write(first, "X last=1")
    pregon.eventually(lambda: len(records(gateway, "X")) == 1)
    first.kill()
    second.wait_for_log("^the feed is ours$")
    end(second)
    assert [r["last"] for r in records(gateway, "X")] == ["1", "2"]


def test_quotes_of_a_program_survive_a_killed_broker(system, programs):
    broker = system.broker(store=f"sqlite:{system.path('pregon.db')}")
    program = publisher(system, broker, programs / "c")
    tail = system.process("tail", {k: broker.settings[k] for k in
                                   ("broker_publish", "broker_control")}, wait=False,
                          flags=("--format", "json", "--symbols", "X"))
    for n in range(1, 3001):
        write(program, f"X last={n}")
        if n % 1000 == 0:
            broker.kill()
            broker.start()
    end(program)
    assert program.logged("^3000 of 3000 quotes received$")
    tail.wait_for_log('"last":"3000"')
