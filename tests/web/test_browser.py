"""pregon.js in Chromium, in pages of the gateway and of other servers."""

import pytest

from browser import ForeignSite

PLAIN = "/cotizaciones/live"  # a document of the gateway without scripts


def call(feed, first, last, symbol="X"):
    for n in range(first, last + 1):
        feed.quote(symbol, last=f"{n}.10", n=n)
    feed.wait_processed()


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_page_comes_back_to_a_killed_gateway_without_a_hole_or_a_repeat(
    system, browser, encoding
):
    broker, gateway = system.start()
    feed = system.feed(broker)
    page = browser.open(gateway.url + PLAIN)
    page.follow("../", mode="all", encoding=encoding)
    page.receive("status", phase="connected")
    call(feed, 1, 50)
    assert page.receive("quote", n=50)["last"] == "50.10"
    for last in (100, 150):
        gateway.kill()
        call(feed, last - 49, last)
        gateway.start()
        page.receive("quote", n=last)
    assert [q["n"] for q in page.received("quote")] == list(range(1, 151))
    assert page.receive("status", phase="resuming")["since"]["seq"] >= 50
    assert not page.received("lost") and not page.received("reset")


def test_a_page_of_a_foreign_origin_shows_why_it_may_not_connect_and_connects_once_it_may(
    system, browser
):
    site = system.add(ForeignSite())
    broker, gateway = system.start(cors_origins="http://else.example")
    page = browser.open(site.origin + "/README.md")
    page.follow(gateway.url, module="/pregon.js")
    status = page.receive("status", phase="refused")
    refusal = status["refusal"]
    assert (refusal["code"], refusal["status"], refusal["setting"]) == (
        "origin_not_allowed",
        403,
        "CORS_ORIGINS",
    )
    assert site.origin in refusal["reason"] and site.origin in refusal["hint"]
    assert refusal["reason"] in status["text"]

    gateway.stop()
    gateway.settings["cors_origins"] = site.origin
    gateway.start()
    page.receive("status", phase="connected")


def test_a_page_with_the_wrong_token_shows_the_refusal(system, browser):
    broker, gateway = system.start(websocket_token="t0ps3cret")
    page = browser.open(gateway.url + PLAIN)
    page.follow("/", token="wrong")
    assert page.receive("status", phase="refused")["refusal"]["code"] == "unauthorized"
    page.follow("/", token="t0ps3cret")
    page.receive("status", phase="connected")


def test_a_page_that_is_left_leaves_no_connection(system, browser):
    broker, gateway = system.start()
    page = browser.open(gateway.url + PLAIN)
    page.follow("/")
    page.receive("status", phase="connected")
    page.run("client.close()")
    page.receive("status", phase="closed")
    gateway.wait_for_log("connection closed")
