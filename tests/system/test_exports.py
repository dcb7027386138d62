"""What was exported can be fed back: into a second broker, whose quotes are the same."""

import csv
import io
import json
import random

import pytest

import pregon

HISTORY = "/cotizaciones/quotes/{}/history"
HEADER = ("seq,prev,accepted,symbol,bid,ask,last,open,high,low,bid_size,ask_size,volume,currency,"
          "source,timestamp,recorded_at,other")
SYMBOLS = ["EUR/USD", "A=B", "Z"]


def export(gateway, symbol, format, **query):
    """All pages, oldest first, appended to each other; of a table the header only once."""
    text, following = "", None
    query = {"format": format, "order": "oldest", **query}
    while True:
        if following:
            query["next"] = following
        answer = gateway.get(HISTORY.format(symbol) + "?" + "&".join(
            f"{k}={v}" for k, v in query.items()))
        assert answer.status == 200, answer.body
        assert answer.headers["X-Complete"] == "true"
        page = answer.body.decode() if isinstance(answer.body, bytes) else answer.body
        text += page if not text or format != "csv" else page.split("\r\n", 1)[1]
        following = answer.headers["X-Next"]
        if not following:
            return text


def quotes(gateway, symbol):
    """The fields of all quotes of a symbol, without what the record adds."""
    found = [json.loads(line) for line in export(gateway, symbol, "ndjson").splitlines()]
    return [{k: v for k, v in r.items() if k not in ("seq", "prev", "type")
             and not (k == "accepted" and isinstance(v, float))}
            for r in found if r["type"] == "quote"]


def publish(feed, dice):
    """Quotes with every field, prices that a float would change, and texts that need quoting."""
    for n in range(60):
        feed.quote(dice.choice(SYMBOLS), bid=f"{n}.{dice.randrange(10**17):017}0", ask="99999",
                   **dice.choice([
                       {"last": "1.50", "volume": "0.10", "currency": " EUR "},
                       {"source": 'a, "quoted" word', "note": "x,y", "count": n,
                        "nested": {"a": [1] * 1200}},
                       {"source": "two\nlines", "accepted": n, "epoch": "mine", "flag": True},
                       {"recorded_at": 1640995200.25, "open": "-1", "high": "2.0", "low": "-3.10",
                        "bid_size": "1", "ask_size": "2", "empty": None, "rate": "1e-7"},
                       {}]))
    feed.wait_processed()


@pytest.fixture(scope="module")
def recorded(shared_system):
    seed = random.randrange(2**32)
    print("seed", seed)
    broker, gateway = shared_system.start()
    feed = shared_system.feed(broker)
    publish(feed, random.Random(seed))
    return shared_system, broker, gateway


def fed_back(system, source, timestamps="tape"):
    broker, gateway = system.start()
    feeder = system.feeder(broker, source, wait=False, timestamps=timestamps)
    feeder.wait_for_exit()
    assert "refused" not in "".join(feeder.log()), feeder.log()
    return broker, gateway


def same_quotes(recorded, gateway, symbols=SYMBOLS):
    for symbol in symbols:
        expected = quotes(recorded, symbol)
        for quote in expected:
            quote.setdefault("source", "recorded data")
        assert quotes(gateway, symbol) == expected


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_a_history_that_is_fed_back_gives_the_same_quotes(recorded, system, format):
    _, _, gateway = recorded
    path = system.path(f"thb.{format}", export(gateway, "EUR/USD", format, limit=7))
    _, second = fed_back(system, f"{format}:{path}?speed=max")
    same_quotes(gateway, second, ["EUR/USD"])


def test_a_table_has_a_column_for_each_known_field_and_one_for_the_others(recorded):
    _, _, gateway = recorded
    text = export(gateway, "EUR/USD", "csv")
    assert text.split("\r\n", 1)[0] == HEADER
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    expected = quotes(gateway, "EUR/USD")
    assert len(rows) == len(expected)
    for row, quote in zip(rows, expected):
        other = json.loads(row.pop("other") or "{}")
        fields = {k: v for k, v in row.items()
                  if v and k not in ("seq", "prev", "accepted")} | other
        assert {k: float(v) if k in ("timestamp", "recorded_at") else v
                for k, v in fields.items()} == quote


def test_a_recording_keeps_its_pace_and_gets_the_present_time(recorded, system):
    _, _, gateway = recorded
    lines = [{"type": "quote", "symbol": "X", "seq": n, "prev": 0, "last": str(n),
              "timestamp": 1640995200 + n, "accepted": 1640995200.5 + 3600 * n} for n in (1, 2)]
    lines.insert(1, {"type": "state", "symbol": "X", "seq": 3, "prev": 2, "state": "stale"})
    lines.insert(1, {"type": "lost", "feed": "", "first": 1, "last": 2, "reason": "not_stored"})
    path = system.path("two.ndjson", "".join(json.dumps(line) + "\n" for line in lines))
    broker, second = system.start()
    feeder = system.feeder(broker, f"ndjson:{path}?speed=3600&max_gap=1")
    feeder.wait_for_log("line 2 says that records are missing there")
    feeder.wait_for_exit()
    first, last = quotes(second, "X")
    assert (first["recorded_at"], last["recorded_at"]) == (1640995201, 1640995202)
    assert last["timestamp"] - first["timestamp"] > 0.9


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_a_file_whose_newest_record_comes_first_is_refused(recorded, system, format):
    _, _, gateway = recorded
    answer = gateway.get(HISTORY.format("EUR/USD") + f"?format={format}")
    path = system.path("newest." + format, answer.body.decode())
    broker = system.broker()
    feeder = system.feeder(broker, f"{format}:{path}", wait=False)
    feeder.wait_for_exit(2)
    assert feeder.logged("its newest r(ow|ecord) comes first")


def test_an_unknown_format_or_parameter_is_refused_and_named(recorded):
    _, _, gateway = recorded
    for query, word in (("format=xml", "format"), ("format=", "format"), ("formt=csv", "formt"),
                        ("format=csv&format=json", "format")):
        answer = gateway.get(HISTORY.format("EUR/USD") + "?" + query)
        assert answer.status == 400 and f"'{word}'" in answer.json()["error"]["message"]
    unknown = gateway.get(HISTORY.format("NOTHING") + "?format=csv")
    assert (unknown.status, unknown.json()["error"]["code"]) == (404, "unknown_symbol")
