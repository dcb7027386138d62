"""The Python package publishes each quote once, whatever becomes of its requests."""

import random
import secrets

import pytest

import pregon
from programs import Program

TOKEN = "open-sesame"
HEAD = f"""
import asyncio, datetime, decimal, json, sys
from decimal import Decimal
import pregon
URL, TOKEN = sys.argv[1], "{TOKEN}"
"""

# Publishes the quotes of standard input, one call for each line: three ways to do it.
WAYS = {
    "http": """
def publish(*its, **how):
    return pregon.publish(URL, *its, token=TOKEN, feed="mine", **how)
""",
    "stream": """
publisher = pregon.Publisher(URL, token=TOKEN, feed="mine")
publish = publisher.publish
""",
    "async stream": """
loop = asyncio.new_event_loop()
publisher = pregon.AsyncPublisher(URL, token=TOKEN, feed="mine")
def publish(*its, **how):
    return loop.run_until_complete(publisher.publish(*its, **how))
""",
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS)


def program(system, python, gateway, way, code, **how):
    url = gateway if isinstance(gateway, str) else gateway.url
    return Program(system, python, HEAD + WAYS[way] + code, url, **how)


QUOTES = """
done = publish([
    {"symbol": "GOLD", "bid": Decimal("1034.50"), "ask": "1034.60", "desk": "X", "depth": [1, 2.5]},
    {"symbol": "gold", "last": 1},
    {"symbol": "DAX", "last": 1628, "timestamp": datetime.datetime.now(datetime.timezone.utc)},
])
print(done.positions, [(r.index, r.code, r.field) for r in done.refused], done.repeated)
[quote] = pregon.quotes(URL, "GOLD")
assert (str(quote.bid), str(quote.ask)) == ("1034.50", "1034.60"), quote
assert quote.extra == {"desk": "X", "depth": [1, "2.5"]}, quote.extra
assert publish(quote).positions == [3]
assert publish([]).positions == []
"""


@pytest.mark.every_python
@EVERY_WAY
def test_quotes_are_published_and_refusals_name_the_quote(system, python, way):
    broker, gateway = system.start(publish_token=TOKEN)
    said = program(system, python, gateway, way, QUOTES)
    assert said.finish() == "[1, None, 2] [(1, 'bad_symbol', 'symbol')] False"
    assert "1 of 3 quotes are refused; quote 1 is refused: bad_symbol" in said.log("err")[0]
    assert gateway.page("quotes/GOLD")["bid"] == "1034.50"
    assert gateway.page("health")["feeds"][0]["name"] == "mine"


MISTAKES = """
def shows(kind, *its, **how):
    try:
        publish(*its, **how)
    except kind as e:
        print(type(e).__name__, getattr(e, "code", e))
        return e
shows(TypeError, {"symbol": "A", "bid": 1.25})
e = shows(pregon.QuotesRefused, [{"symbol": "a", "last": 1}, {"symbol": "A"}])
print([r.code for r in e.published.refused], e.published.positions)
TOKEN = "wrong"
e = shows(pregon.Refused, {"symbol": "A", "last": 1})
print(bool(e.message))
"""


@EVERY_WAY
def test_what_is_refused_as_a_whole_is_an_exception(system, python, way):
    broker, gateway = system.start(publish_token=TOKEN)
    code = MISTAKES.replace('TOKEN = "wrong"', 'TOKEN = "wrong"; publisher = ' + {
        "http": "None", "stream": "pregon.Publisher(URL, token=TOKEN); publish = publisher.publish",
        "async stream": "pregon.AsyncPublisher(URL, token=TOKEN)"}[way])
    assert program(system, python, gateway, way, code).finish().splitlines() == [
        'TypeError pregon: bid=1.25 is a binary fraction, which is not exact: write '
        'Decimal("1.25") or "1.25"',
        "QuotesRefused quotes_refused", "['bad_symbol', 'no_price'] [None, None]",
        "Refused publish_unauthorized", "True"]


@EVERY_WAY
def test_a_list_longer_than_a_request_is_published_in_order(system, python, way):
    broker, gateway = system.start(publish_token=TOKEN)
    code = """
wide = {f"field{i}": "x" * 90 for i in range(30)}
done = publish({"symbol": f"S{i}", "last": i, **wide} for i in range(2500))
print(len(done.positions), done.positions == list(range(1, 2501)))
"""
    assert program(system, python, gateway, way, code).finish() == "2500 True"


@EVERY_WAY
def test_a_request_with_its_own_key_is_not_published_twice(system, python, way):
    broker, gateway = system.start(publish_token=TOKEN)
    code = """
for i in range(2):
    done = publish([{"symbol": "A", "last": n} for n in range(1200)], key="batch-7")
    print(done.positions[-1], done.repeated)
"""
    assert program(system, python, gateway, way, code).finish() == "1200 False\n1200 True"


COUNTING = """
for n in range(1, 1000001):
    publish({"symbol": "N", "last": n}, key=f"run-{n}")
    print(n, flush=True)
"""


@EVERY_WAY
def test_whatever_is_killed_each_quote_is_published_once_and_in_order(system, python, way):
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    broker = system.broker(store=f"sqlite:{system.path('pregon.db')}")
    gateways = [system.gateway(broker, publish_token=TOKEN) for _ in range(2)]
    proxy = [system.proxy(f"tcp://127.0.0.1:{g.port}") for g in gateways]
    urls = [p.address.replace("tcp:", "http:") for p in proxy]
    head = HEAD.replace("sys.argv[1]", f"{urls!r}")
    writer = Program(system, python, head + WAYS[way] + COUNTING)
    for _ in range(8):
        count = len(writer.log("out")) + dice.randrange(1, 30)
        pregon.eventually(lambda: len(writer.log("out")), lambda n: n >= count, "quotes published")
        kind = dice.choice(["gateway", "gateway", "broker", "cut", "cut"])
        if kind == "cut":
            dice.choice(proxy).cut()
        else:
            victim = broker if kind == "broker" else dice.choice(gateways)
            victim.kill()
            for one in proxy:
                one.cut()  # it passes on no end of a connection
            victim.start()
    count = len(writer.log("out")) + 20
    pregon.eventually(lambda: len(writer.log("out")), lambda n: n >= count, "quotes published")
    writer.kill()
    lasts = Program(system, python, HEAD + """
print(*[q.last for q in pregon.history(URL, "N")])
""", gateways[0].url).finish().split()
    assert lasts == [str(n) for n in range(1, len(lasts) + 1)]
    assert len(lasts) in (len(writer.log("out")), len(writer.log("out")) + 1)


@EVERY_WAY
def test_without_a_gateway_it_gives_up_after_its_timeout(system, python, way):
    code = """
try:
    publish({"symbol": "A", "last": 1}, timeout=0.5)
except pregon.Unreachable as e:
    print(e.code, e.published.positions)
"""
    away = pregon.free_address().replace("tcp:", "http:")
    assert program(system, python, away, way, code).finish() == "unreachable []"


@EVERY_WAY
def test_while_there_is_no_gateway_it_logs_why_it_waits(system, python, way):
    away = pregon.free_address().replace("tcp:", "http:")
    waiting = program(system, python, away, way, 'publish({"symbol": "A", "last": 1})')
    waiting.wait_for_log(f"{away[7:]}.*(trying again|next attempt)", stream="err")
    waiting.kill()


def test_several_tasks_share_a_publisher(system, python):
    broker, gateway = system.start(publish_token=TOKEN)
    code = """
async def main():
    async with pregon.AsyncPublisher(URL, token=TOKEN) as publisher:
        tasks = [publisher.publish({"symbol": "A", "last": n}) for n in range(50)]
        done = await asyncio.gather(*tasks)
        print(sorted(p.positions[0] for p in done) == list(range(1, 51)))
        first = asyncio.ensure_future(publisher.publish({"symbol": "A", "last": 1}))
        await asyncio.sleep(0)
        first.cancel()
        print((await publisher.publish({"symbol": "B", "last": 1})).positions[0] > 50)
asyncio.run(main())
"""
    assert program(system, python, gateway, "http", code).finish() == "True\nTrue"
