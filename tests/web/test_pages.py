"""Every page, in both languages, light and dark, and on a phone: no error on the console, and no
accessibility fault that axe finds. Screenshots for people: build/web-screenshots/.
"""

import json
import os
import socket

import pytest

import pregon
from browser import SHOTS, VARIANTS
from fake_broker import FakeBroker

#: A page → a text that is there once it works.
PAGES = {
    "/": "USD/THB",
    "/status": "recorded",
    "/docs": "/cotizaciones/quotes/{symbol}/history",
}

LOAD = """
window.frames = 0, window.longest = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) longest = Math.max(longest, task.duration);
}).observe({ type: "longtask" });
(function paint() { frames++; requestAnimationFrame(paint); })();
"""


@pytest.fixture(scope="module")
def recorded_gateway(shared_system):
    """A gateway with quotes to show."""
    broker, gateway = shared_system.start()
    tables = [
        f"csv:{os.path.join(pregon.DATA, name)}" for name in ("usdthb.csv", "EuStockMarkets.csv")
    ]
    shared_system.feeder(broker, tables, feed="recorded", loop=1)
    return gateway


def name_of(path):
    return path.strip("/").replace("/", "-") or "board"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_its_content_without_errors(recorded_gateway, browser, path, variant):
    page = browser.open(recorded_gateway.url + path, variant)
    page.shows(PAGES[path])
    page.screenshot(f"{name_of(path)}-{variant}")
    assert page.run("return document.documentElement.lang") == variant[:2]
    assert (
        page.run("return document.documentElement.scrollWidth - innerWidth") <= 0
    ), "it must be moved sideways"
    assert page.violations() == []
    assert page.errors() == []


@pytest.mark.parametrize("variant, texts", [
    ("en-light", ["The gateway does not take “dax”: a symbol is 1 to 32", "Did you mean DAX?"]),
    ("es-dark", ["El gateway no acepta “dax”: un símbolo es de 1 a 32", "¿Quisiste decir DAX?"]),
])
def test_the_board_shows_rejected_symbols(recorded_gateway, browser, variant, texts):
    page = browser.open(recorded_gateway.url + "/?symbols=dax", variant)
    for text in texts:
        page.shows(text)
    assert "did you mean" not in page.run("return document.body.innerText")


def test_the_board_comes_back_to_a_killed_gateway(system, browser):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("X", last="1034.50")
    feed.wait_processed()
    page = browser.open(gateway.url + "/")
    page.shows("1034.50")
    gateway.kill()
    feed.quote("X", last="1034.75")
    feed.wait_processed()
    gateway.start()
    page.shows("1034.75")


def test_the_board_paints_while_two_thousand_symbols_move(system, browser):
    """Records its cost next to the screenshots; WEB_MINUTES sets the duration."""
    broker, gateway = system.start()
    page = browser.open(gateway.url + "/")
    page.run(LOAD)
    feeder = system.feeder(broker, "sim:2000", rate=2000)
    page.wait_until("document.body.innerText.includes('SIM') || undefined")
    page.run(
        "frames = 0; longest = 0; window.began = performance.now(); window.before = "
        "document.body.innerText"
    )
    seconds = 60 * float(os.environ.get("WEB_MINUTES") or 0.1)
    page.wait_until("frames > 30 && document.body.innerText !== before",
                    patience=pregon.PATIENCE * 2)
    page.wait_until(
        f"performance.now() - began > {1000 * seconds}", patience=pregon.PATIENCE + seconds
    )
    cost = page.run(
        "return { seconds: (performance.now() - began) / 1000, frames, longest_task_ms: longest, "
        "heap_bytes: performance.memory?.usedJSHeapSize }"
    )
    page.screenshot("board-under-load")
    with open(os.path.join(SHOTS, "board-under-load.json"), "w", encoding="utf-8") as f:
        json.dump(cost, f, indent=1)
    assert gateway.status()["active_connections"] == 1, "it was not left behind"
    assert page.errors() == []
    feeder.stop()


ASK = """
const it = document.getElementById("getQuote");
it.open = true;
it.addEventListener("toggle", () => {
  it.querySelector("input").value = "X";
  it.querySelector("input").dispatchEvent(new Event("input"));
  it.querySelector(".output").previousElementSibling.click();
});
"""

STREAM = """
const box = document.getElementById("try-stream");
box.querySelectorAll("select")[1].value = arguments[0];
box.querySelector("form").requestSubmit();
"""


def test_the_api_page_sends_the_requests_that_it_describes(system, browser):
    broker, gateway = system.start(root_path="/precios")
    feed = system.feed(broker)
    feed.quote("X", last="1034.50")
    feed.wait_processed()
    page = browser.open(gateway.url + "/precios/docs")
    page.shows("The last value of one symbol")
    page.run(ASK)
    page.shows('"last": "1034.50"')
    page.shows(f"curl -s {gateway.url}/precios/cotizaciones/quotes/X")
    assert page.errors() == []


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_the_api_page_shows_sent_and_received_messages(system, browser, encoding):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("X", last="1034.50")
    feed.wait_processed()
    page = browser.open(gateway.url + "/docs")
    page.shows("Try the stream")
    page.run(STREAM, encoding)
    page.shows('sent {"op":"subscribe","id":1,"symbols":["*"],"mode":"merge","max_hz":5}')
    page.shows('received {"type":"snapshot","symbol":"X"')
    feed.quote("X", last="1034.75")
    page.shows('"last":"1034.75"')
    page.shows("pregon.v1." + encoding)


def test_the_api_page_shows_why_the_stream_is_refused(system, browser):
    broker, gateway = system.start(websocket_token="t0ps3cret")
    page = browser.open(gateway.url + "/docs")
    page.shows("Try the stream")
    page.run(STREAM, "json")
    page.shows("Refused: 401 unauthorized. A token is needed.")
    page.shows("WEBSOCKET_TOKEN")


def test_the_status_page_shows_changes_live(system, browser):
    broker, gateway = system.start(status_token="show-me")
    locker = system.locker(broker, "bot-7f3a")
    locker.acquire("telegram-bot", ttl_ms=60000)
    system.handshake(gateway, headers={"Origin": "https://evil.example"})
    client = system.client(gateway)
    page = browser.open(gateway.url + "/status")
    page.shows("origin_not_allowed")
    page.shows("CORS_ORIGINS")
    page.shows("No feeder has ever connected.")
    page.shows("STATUS_TOKEN")
    assert not page.run("return document.body.innerText.includes('bot-7f3a')")
    page.run(
        "document.getElementById('token').value = 'wrong'; document.querySelector('main "
        "form').requestSubmit()"
    )
    page.shows("The token is not the gateway's STATUS_TOKEN.")
    page.run(
        "document.getElementById('token').value = 'show-me'; document.querySelector('main "
        "form').requestSubmit()"
    )
    page.shows("bot-7f3a")
    page.shows(f"127.0.0.1:{client.local_port}")
    system.feed(broker, "test")
    page.shows("test")
    broker.stop()
    page.shows("The gateway does not know which locks are held")
    gateway.stop()
    page.shows("The gateway has not answered since")
    gateway.start()
    broker.start()
    page.wait_until("!document.body.innerText.includes('does not answer') || undefined")


def test_the_status_page_removes_a_feed_that_has_ended_and_a_symbol(system, browser):
    broker, gateway = system.start(admin_token="tidy-up")
    for name, symbol in (("old", "A"), ("new", "B")):
        feed = system.feed(broker, name)
        feed.quote(symbol, last="1")
        feed.wait_processed()
        if name == "old":
            feed.goodbye()
    page = browser.open(gateway.url + "/status")
    page.shows("ended")
    page.run("window.confirm = () => true")
    button = "document.querySelector('td button')"
    page.wait_until(button)
    assert page.run("return document.querySelectorAll('td button').length") == 1  # "new" is live
    page.run(button + ".click()")
    page.shows("A token is needed.")
    page.run("document.getElementById('admin-token').value = 'tidy-up'")
    page.run(button + ".click()")
    page.shows("old is removed (1 symbols).")
    page.wait_until(f"!{button}")
    page.run("document.getElementById('forget-symbol').value = 'B'; "
             "document.getElementById('forget-symbol').form.requestSubmit()")
    page.shows("B is removed (1 symbols).")
    assert not gateway.page("quotes")["quotes"]


def test_the_status_page_goes_on_after_an_answer_that_it_cannot_read(system, browser):
    broker, gateway = system.start()
    page = browser.open(gateway.url + "/status")
    page.shows("No feeder has ever connected.")
    page.run(
        "window.whole = fetch; window.fetch = async (url, ...its) => "
        "String(url).endsWith('health') "
        "? new Response('{\"status\":\"ok\"}') : whole(url, ...its)"
    )
    page.shows("cannot be shown")
    page.run("window.fetch = whole")
    page.wait_until("!document.body.innerText.includes('cannot be shown')")


class Listener:
    """A server that never answers, and records the requests."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(pregon.PATIENCE)
        self.host = "127.0.0.1:%d" % self.socket.getsockname()[1]

    def wait_requested(self):
        near, _ = self.socket.accept()
        with near, near.makefile() as lines:
            return lines.readline()

    def close(self):
        self.socket.close()


def test_the_api_page_shows_its_token_to_its_own_gateway_alone(system, browser):
    broker, gateway = system.start(websocket_token="t0ps3cret")
    stranger = system.add(Listener())
    page = browser.open(gateway.url + "/docs")
    page.shows("Try the stream")
    page.run("sessionStorage.setItem('pregon-token', 't0ps3cret')")
    page.run(STREAM, "json")
    page.shows("Connected")
    page.run("document.querySelector('#try-stream form').requestSubmit()")  # and end it
    page.run(
        "document.querySelector('#try-stream input').value = arguments[0]",
        f"ws://{stranger.host}/ws/cotizaciones",
    )
    page.run(STREAM, "json")
    asked = stranger.wait_requested()
    assert asked.startswith("GET /ws/cotizaciones?symbols= "), asked


def test_a_panel_whose_history_fails_shows_live_quotes(system, browser):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    beside = system.client(gateway)
    beside.receive("ack")
    fake.quote("X", last="1034.50")
    beside.receive("quote", symbol="X")
    fake.answers["history"] = lambda question: b"\xc1"
    page = browser.open(gateway.url + "/?symbol=X")
    page.shows("The history cannot be shown")
    fake.quote("X", last="1034.75")
    page.wait_until("document.querySelector('#history tbody').textContent.includes('1034.75')")


LONG = """
const [done] = arguments;
(async () => {
  const { Chart } = await import("/www/board-chart.js");
  const { Panel } = await import("/www/board-panel.js");
  const { Entry } = await import("/www/board-quotes.js");
  const drawn = [], set = Chart.prototype.set;
  Chart.prototype.set = function (quotes) {
    drawn.push(quotes.length);
    set.call(this, quotes);
  };
  const client = { history: async () => ({ records: [], gaps: [], truncated: false }) };
  const panel = new Panel(document.body.appendChild(document.createElement("div")), client, {});
  const entry = new Entry("X");
  entry.take({ symbol: "X", last: "1", timestamp: 1 });
  await panel.open(entry, "1h");
  for (let n = 1; n <= 20001; n++)
    panel.take({ symbol: "X", seq: n, last: "1.5", accepted: 1.6e9 + n });
  panel.close();
  return drawn;
})().then(done, (error) => done(String(error)));
"""


def test_a_chart_that_stays_open_forgets_its_oldest_quotes(system, browser):
    broker, gateway = system.start()
    assert len(gateway.get("/www/lightweight-charts.js").body) > 1000, "no charts: make web"
    page = browser.open(gateway.url + "/cotizaciones/live")
    assert page.driver.execute_async_script(LONG) == [0, 18001]
