"""Every page, as everybody may look at it: without an error on the console, without a fault that axe
finds, in both languages and colours, on a phone.  Pictures for human eyes: build/web-screenshots/."""

import json
import os

import pytest

import pregon
from browser import SHOTS, VARIANTS

#: A page → a text that is there once it works.
PAGES = {
    "/": "USD/THB",
    "/docs": "/cotizaciones/websocket_check",
}

LOAD = """
window.frames = 0, window.longest = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) longest = Math.max(longest, task.duration);
}).observe({ type: "longtask" });
(function paint() { frames++; requestAnimationFrame(paint); })();
"""


@pytest.fixture(scope="module")
def town(long_stage):
    """A gateway with quotes to show."""
    broker, gateway = long_stage.play()
    tables = [f"csv:{os.path.join(pregon.DATA, name)}" for name in ("usdthb.csv", "EuStockMarkets.csv")]
    long_stage.feeder(broker, tables, feed="recorded", loop=1)
    return gateway


def name_of(path):
    return path.strip("/").replace("/", "-") or "board"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole(town, browser, path, variant):
    page = browser.open(town.url + path, variant)
    page.shows(PAGES[path])
    page.screenshot(f"{name_of(path)}-{variant}")
    assert page.run("return document.documentElement.lang") == variant[:2]
    assert page.run("return document.documentElement.scrollWidth - innerWidth") <= 0, "it must be moved sideways"
    assert page.violations() == []
    assert page.errors() == []


def test_the_board_comes_back_to_a_killed_gateway(stage, browser):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    feed.quote("X", last="1034.50")
    feed.settled()
    page = browser.open(gateway.url + "/")
    page.shows("1034.50")
    gateway.kill()
    feed.quote("X", last="1034.75")
    feed.settled()
    gateway.start()
    page.shows("1034.75")


def test_the_board_paints_while_two_thousand_symbols_move(stage, browser):
    """What it costs is written down beside the pictures; WEB_MINUTES makes it longer."""
    broker, gateway = stage.play()
    page = browser.open(gateway.url + "/")
    page.run(LOAD)
    feeder = stage.feeder(broker, "sim:2000", rate=2000)
    page.is_told("document.body.innerText.includes('SIM') || undefined")
    page.run("frames = 0; longest = 0; window.began = performance.now(); window.before = document.body.innerText")
    seconds = 60 * float(os.environ.get("WEB_MINUTES") or 0.1)
    page.is_told("frames > 30 && document.body.innerText !== before", patience=pregon.PATIENCE * 2)
    page.is_told(f"performance.now() - began > {1000 * seconds}", patience=pregon.PATIENCE + seconds)
    cost = page.run("return { seconds: (performance.now() - began) / 1000, frames, longest_task_ms: longest, "
                    "heap_bytes: performance.memory?.usedJSHeapSize }")
    page.screenshot("board-under-load")
    with open(os.path.join(SHOTS, "board-under-load.json"), "w", encoding="utf-8") as f:
        json.dump(cost, f, indent=1)
    assert gateway.status()["active_connections"] == 1, "it was not left behind"
    assert page.errors() == []
    feeder.stop()
