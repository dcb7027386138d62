"""Last values and history by the Python package."""

import pytest

import pregon
from programs import Program, VENVS

HEAD = """
import datetime, sys
import pregon
URL = sys.argv[1]
"""


def run(system, python, gateway, code):
    return Program(system, python, HEAD + code, gateway.url).finish()


@pytest.mark.every_python
def test_last_values_and_history_are_lists_of_quotes_with_decimals(system, python):
    broker, gateway = system.start()
    feed = system.feed(broker)
    for n in range(3):
        feed.quote("A/B", bid=f"1.{n}0", ask="2", venue="X")
    feed.quote("C", last="1")
    feed.wait_processed()
    feed.goodbye()
    pregon.eventually(lambda: gateway.page("quotes/C")["state"], lambda s: s == "stale")
    code = """
found = pregon.quotes(URL, ["A*"])
print(*found, found.complete, type(found[0].bid).__name__, found[0].is_snapshot)
past = pregon.history(URL, "A/B")
print(*[q.bid for q in past], past.complete, past.gaps, [s.state for s in past.states])
print(*[q.bid for q in pregon.history(URL, "A/B", order="newest", limit=2)])
hour = datetime.timedelta(hours=1)
now = datetime.datetime.now(datetime.timezone.utc)
print(len(pregon.history(URL, "A/B", since=now - hour, until=now + hour)))
print(len(pregon.history(URL, "A/B", since=past[0].seq)))
"""
    assert run(system, python, gateway, code).splitlines() == [
        "A/B 1.20 / 2 stale True Decimal True", "1.00 1.10 1.20 True [] ['stale']", "1.20 1.10",
        "3", "2"]


def test_long_answers_are_read_page_by_page(system, python):
    broker, gateway = system.start()
    feed = system.feed(broker)
    for n in range(1203):
        feed.quote("A", last=str(n))
        feed.quote(f"S{n}", last="1")
    feed.wait_processed()
    code = """
print(len(pregon.quotes(URL)), len(pregon.quotes(URL, "S*")))
for order in "oldest", "newest":
    print([int(q.last) for q in pregon.history(URL, "A", order=order)] in
          (list(range(1203)), list(range(1202, -1, -1))))
print(len(pregon.history(URL, "A", limit=1100)))
"""
    assert run(system, python, gateway, code).splitlines() == [
        "1204 1203", "True", "True", "1100"]


def test_a_refused_query_is_an_exception_with_code_message_and_hint(system, python):
    broker, gateway = system.start()
    code = """
try:
    pregon.history(URL, "NOBODY")
except pregon.Refused as e:
    print(e.code, e.status, bool(e.message), bool(e.hint))
for wrong in (lambda: pregon.quotes(URL, "dax"), lambda: pregon.quotes("127.0.0.1:8000"),
              lambda: pregon.history(URL, "A", since=datetime.datetime(2026, 1, 1)),
              lambda: pregon.follow(URL, "DAX", "both"), lambda: pregon.follow(URL, []),
              lambda: pregon.follow(URL, since="12")):
    try:
        wrong()
    except ValueError as e:
        print(str(e)[:48])
"""
    lines = run(system, python, gateway, code).splitlines()
    assert lines[0] == "unknown_symbol 404 True True"
    assert [line[:8] for line in lines[1:]] == ["pregon: "] * 6
    assert 'did you mean "DAX"' not in lines[1]  # cut off above; the text begins with the symbol
    assert lines[1].startswith('pregon: "dax" is no symbol')


def test_a_list_of_quotes_becomes_a_pandas_frame(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("A", bid="1.10", ask="2", venue="X")
    feed.quote("B", last="3.50")
    feed.wait_processed()
    code = """
from decimal import Decimal
frame = pregon.quotes(URL).to_frame()
print(list(frame.columns), str(frame["time"].dtype).startswith("datetime64"))
assert frame["bid"][0] == Decimal("1.10") and str(frame["bid"][0]) == "1.10"
print(frame["bid"].astype(float).sum(), len(pregon.quotes(URL, "NOBODY").to_frame()))
"""
    assert run(system, "tools", gateway, code).splitlines() == [
        "['time', 'symbol', 'seq', 'state', 'bid', 'ask', 'last', 'venue'] True", "1.1 0"]
