"""The board's arithmetic on prices, compared with Python's decimals."""

import json
import os
import random
import subprocess
from decimal import ROUND_HALF_UP, Decimal, getcontext

import pregon
from node import NODE

MODULE = os.path.join(pregon.ROOT, "gateway", "www", "decimal.js")
PROGRAM = """
const d = await import("data:text/javascript;base64," + process.argv[1]);
const text = require("fs").readFileSync(0, "utf8");
console.log(JSON.stringify(JSON.parse(text).map(%s)));
"""
ARITHMETIC = """([a, b]) => {
  const x = d.parse(a), y = d.parse(b), change = d.change(x, y);
  const percent = change === null ? null : d.percent(change);
  return [d.difference(x, y), d.compare(x, y), d.middle(x, y), percent];
}"""
GROUPING = '([text, decimals]) => [d.group(text, decimals, ".", ","), d.decimalsOf(text)]'


def price(rng):
    digits, scale = rng.choice((1, 4, 12, 25)), rng.choice((0, 1, 2, 8))
    whole = str(rng.randrange(10**digits))
    return f"{whole}.{rng.randrange(10**scale):0{scale}}" if scale else whole


def computed(pairs, function=ARITHMETIC):
    with open(MODULE, "rb") as f:
        source = subprocess.run(
            ["base64", "-w0"], stdin=f, capture_output=True, text=True, check=True
        ).stdout
    run = subprocess.run(
        [NODE, "--input-type=commonjs", "-e", f"(async () => {{{PROGRAM % function}}})()", source],
        input=json.dumps(pairs),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def test_differences_middles_and_changes_are_exact():
    getcontext().prec = 80
    rng = random.Random(7)
    pairs = [
        ("0.3", "0.1"),
        ("1034.50", "1034.5"),
        ("0.005", "1"),
        ("1", "0"),
        ("0.99995", "1"),
        ("100.005", "100"),
    ]
    pairs += [(price(rng), price(rng)) for _ in range(2000)]
    for (a, b), (difference, order, middle, percent) in zip(pairs, computed(pairs), strict=True):
        x, y = Decimal(a), Decimal(b)
        assert Decimal(difference) == x - y, (a, b)
        assert len(difference.partition(".")[2]) == max(
            len(a.partition(".")[2]), len(b.partition(".")[2])
        ), (a, b)
        assert order == (x > y) - (x < y), (a, b)
        assert Decimal(middle) == (x + y) / 2, (a, b)
        if y == 0:
            assert percent is None, (a, b)
        else:
            exact = ((x - y) / y * 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
            assert Decimal(percent) == exact, (a, b)


def test_a_formatted_price_has_all_its_digits():
    rng = random.Random(8)
    prices = [(price(rng), rng.choice((0, 2, 10))) for _ in range(2000)]
    prices += [(f"-{text}", decimals) for text, decimals in prices[:200]]
    for (text, decimals), (shown, own) in zip(prices, computed(prices, GROUPING), strict=True):
        whole, _, part = text.partition(".")
        assert own == len(part)
        part = part.ljust(decimals, "0")
        grouped = whole if len(whole.lstrip("-")) < 5 else f"{int(whole):,}"
        assert shown == (f"{grouped}.{part}" if part else grouped), text


def test_what_is_no_price_is_shown_as_it_is():
    odd = ["", "x", "1e5", "1.", ".5", "Infinity", "1 000"]
    assert [shown for shown, _ in computed([(text, 2) for text in odd], GROUPING)] == odd
