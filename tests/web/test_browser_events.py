"""The browser's own EventSource, in pages of the gateway's and of others."""

import pytest

from browser import ForeignSite

PLAIN = "/cotizaciones/live"

LISTEN = """
window.events = [];
window.source = new EventSource(arguments[0]);
source.onmessage = (e) => events.push({ ...JSON.parse(e.data), id: e.lastEventId });
source.onerror = () => events.push({ type: "lost connection", state: source.readyState });
"""


def call(feed, first, last):
    for n in range(first, last + 1):
        feed.quote("X", last=f"{n}.10", n=n)
    feed.wait_processed()


def hears(page, kind, n=None):
    also = "" if n is None else f" && e.n === {n}"
    return page.wait_until(f'events.find((e) => e.type === "{kind}"{also})')


def numbers(page):
    return page.run('return events.filter((e) => e.type === "quote").map((e) => e.n)')


def test_eventsource_comes_back_to_a_killed_gateway_without_a_hole_or_a_repeat(system, browser):
    broker, gateway = system.start()
    feed = system.feed(broker)
    page = browser.open(gateway.url + PLAIN)
    page.run(LISTEN, "/cotizaciones/events?symbols=X&mode=all")
    hears(page, "ack")
    call(feed, 1, 50)
    hears(page, "quote", 50)
    for last in (100, 150, 200):
        gateway.kill()
        call(feed, last - 49, last)
        gateway.start()
        hears(page, "quote", last)
    assert numbers(page) == list(range(1, 201))
    assert page.run('return events.filter((e) => e.recovered === true).length') == 3


def test_eventsource_comes_back_when_a_stopping_gateway_said_so(system, browser):
    broker, gateway = system.start()
    feed = system.feed(broker)
    page = browser.open(gateway.url + PLAIN)
    page.run(LISTEN, "/cotizaciones/events?symbols=X&mode=all")
    hears(page, "ack")
    call(feed, 1, 1)
    hears(page, "quote", 1)
    gateway.stop()
    assert hears(page, "going_away")["reconnect_after"] >= 0.5
    assert hears(page, "close")["code"] == 1012
    call(feed, 2, 2)
    gateway.start()
    hears(page, "quote", 2)
    assert numbers(page) == [1, 2]


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_page_of_another_origin_gets_events_exactly_if_it_is_listed(system, browser, is_listed):
    site = system.add(ForeignSite())
    broker, gateway = system.start(cors_origins=site.origin if is_listed else "http://else.example",
                                 websocket_token="t0ps3cret")
    page = browser.open(site.origin + "/README.md")
    page.run(LISTEN, gateway.url + "/cotizaciones/events?token=t0ps3cret")
    if is_listed:
        hears(page, "ack")
    else:
        assert hears(page, "lost connection")["state"] == 2  # it does not try again
