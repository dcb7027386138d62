"""What a trader does with the board: prices, columns, favourites, copies and alerts."""

import json

import pytest

VARIANTS = ["en-light", "es-dark", "es-light-phone", "en-dark-phone"]
KEPT = "return JSON.parse(localStorage.getItem('pregon.board'))"

CUT = """
return [...document.querySelectorAll("#quotes .row:not([hidden]) .cell:not(.away):not(.state)")]
  .filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent);
"""


def board(system, browser, quotes, path="/", variant="en-light", kept=None):
    """A page that shows these quotes: {symbol: fields}. kept: what the reader chose earlier."""
    broker, gateway = system.start()
    feed = system.feed(broker)
    for symbol, fields in quotes.items():
        feed.quote(symbol, **fields)
    feed.wait_processed()
    page = browser.open(gateway.url + "/docs", variant)
    page.run("arguments[0] === null ? localStorage.clear() : "
             "localStorage.setItem('pregon.board', arguments[0])", kept)
    page.driver.get(gateway.url + path)
    page.wait_until(f"document.querySelectorAll('#rows .row:not([hidden])').length"
                    f" === {len(quotes)} || undefined")
    return page, feed


def cell(symbol, column):
    return f"document.querySelector('.row[data-symbol=\"{symbol}\"] .cell.{column}')?.textContent"


def order(page):
    """The symbols from top to bottom."""
    return page.run("""
      const index = (row) => Number(row.getAttribute("aria-rowindex"));
      return [...document.querySelectorAll("#rows .row:not([hidden])")]
        .sort((a, b) => index(a) - index(b)).map((row) => row.dataset.symbol);
    """)


def press(page, key, **modifiers):
    page.run("document.getElementById('quotes').dispatchEvent(new KeyboardEvent('keydown', "
             "{ key: arguments[0], bubbles: true, cancelable: true, ...arguments[1] }))",
             key, modifiers)


def choose(page, label):
    """Click a label or button of the menu Options."""
    page.run("document.getElementById('options').open = true")
    page.wait_until("document.querySelector('.menu label') !== null")
    page.run("[...document.querySelectorAll('.menu label, .menu button')]"
             ".find((e) => e.textContent === arguments[0]).click()", label)


def test_prices_have_the_decimals_of_their_symbol_and_a_middle_is_marked(system, browser):
    page, feed = board(system, browser, {
        "A": {"last": "1034.5", "bid": "1034", "ask": "1034.75"},
        "B": {"bid": "1.0842", "ask": "1.0843"},
        "C": {"last": "0.123456789012345"},
        "D": {"bid": "5"},
    })
    page.wait_until(f"{cell('A', 'last')} === '1034.50'")
    assert page.run(f"return [{cell('A', 'bid')}, {cell('A', 'ask')}]") == ["1034.00", "1034.75"]
    assert page.run(f"return {cell('B', 'last')}") == "1.08425 ◦"
    assert page.run(f"return {cell('C', 'last')}") == "0.123456789012345"
    assert page.run(f"return {cell('D', 'last')}") == ""
    page.shows("◦ middle of bid and ask")
    feed.quote("B", bid="1.0842", ask="1.0844")
    page.wait_until(f"{cell('B', 'last')} === '1.08430 ◦'")
    feed.quote("A", last="1034", ask="12345.125")
    page.wait_until(f"{cell('A', 'ask')} === '12,345.125'")
    assert page.run(f"return {cell('A', 'last')}") == "1034.000"


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_price_is_cut_off_however_long(system, browser, variant):
    fields = {"last": "1234567890" * 3 + ".25", "bid": "99999.12345678"}
    quotes = {f"S{n:02}": fields for n in range(9)}
    quotes["W" * 32] = {"bid": "0.00000001", "ask": "0.00000002"}
    page, feed = board(system, browser, quotes, variant=variant)
    page.wait_until(f"{cell('S01', 'last')}.length > 30")
    page.wait_until(f"(() => {{ {CUT} }})().length === 0")
    assert page.run("return document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.errors() == []


def test_spread_range_and_volume_are_exact_and_read_like_the_language(system, browser):
    page, feed = board(system, browser, {
        "A": {"last": "0.20", "bid": "0.1", "ask": "0.3", "low": "0.05", "high": "12345.5",
              "volume": "1234567", "previous_close": "0.1"},
    }, variant="es-dark", kept=json.dumps({"columns": ["spread", "change", "range", "volume",
                                                       "percent"]}))
    wanted = {"spread": "0,20", "volume": "1.234.567", "range": "0,05 – 12.345,50",
              "change": "+0,10", "percent": "▲ +100,00"}
    page.wait_until(f"{cell('A', 'last')} === '0,20'")
    assert {name: page.run(f"return {cell('A', name)}") for name in wanted} == wanted


def test_the_panel_names_fields_in_words_and_dates_have_a_year(system, browser):
    fields = {"last": "1.5", "bid_size": "20000", "venue_code": "XB", "timestamp": 1640995200}
    page, feed = board(system, browser, {"A": fields}, path="/?symbol=A&range=all")
    facts = "Object.fromEntries([...document.querySelectorAll('#fields > div')].map((d) => " \
            "[...d.children].map((c) => c.textContent)))"
    page.wait_until(f"{facts}['Bid size'] === '20,000'")
    shown = page.run(f"return {facts}")
    assert shown["Venue code"] == "XB" and "2022" in shown["Time"]
    page.wait_until("/20\\d\\d/.test(document.querySelector('#history td')?.textContent)")


def test_chosen_columns_and_density_are_kept(system, browser):
    page, feed = board(system, browser, {"A": {"last": "1"}})
    page.shows("Trend")
    height = page.run("return document.querySelector('#rows .row').offsetHeight")
    choose(page, "Trend")
    page.wait_until("document.querySelector('.heads .trend.away') !== null")
    choose(page, "Compact rows")
    page.wait_until(f"document.querySelector('#rows .row').offsetHeight < {height}")
    page.driver.refresh()
    page.wait_until("document.querySelector('.heads .trend.away') !== null")
    page.wait_until(f"document.querySelector('#rows .row').offsetHeight < {height}")
    choose(page, "Those that fit")
    page.wait_until("document.querySelector('.heads .trend.away') === null")
    assert page.run(KEPT)["columns"] is None
    assert page.violations() == []


def test_favourites_come_first_in_the_order_that_the_reader_gives_them(system, browser):
    page, feed = board(system, browser, {s: {"last": "1"} for s in "ABCD"})
    page.run("document.querySelector('.row[data-symbol=C] .star').click()")
    page.wait_until(f"{cell('C', 'star')} === '★'")
    for _ in range(4):  # C, A, B, D
        press(page, "ArrowDown")
    press(page, "f")
    page.wait_until(f"{cell('D', 'star')} === '★'")
    assert order(page) == ["C", "D", "A", "B"]
    press(page, "ArrowUp", altKey=True)
    page.wait_until("JSON.parse(localStorage.getItem('pregon.board')).favourites[0] === 'D'")
    page.driver.refresh()
    page.wait_until(f"{cell('D', 'star')} === '★'")
    page.wait_until(f"{cell('B', 'star')} === '☆'")
    assert order(page) == ["D", "C", "A", "B"]
    choose(page, "Favourites only")
    page.wait_until("document.querySelectorAll('#rows .row:not([hidden])').length === 2")
    page.run("document.querySelector('.row[data-symbol=C] .symbol').click()")
    page.wait_until("document.querySelector('#panel-star').textContent === '★'")
    page.run("document.querySelector('[aria-label=\"Move up among the favourites\"]').click()")
    assert page.run(KEPT)["favourites"] == ["C", "D"]


def test_the_shown_rows_are_copied_and_saved_with_the_quotes_own_texts(system, browser):
    page, feed = board(system, browser, {
        "=A1": {"bid": "1.1", "ask": "1.2", "timestamp": 1640995200.5},
        "B": {"last": "-1034.50"},
    }, variant="es-dark")
    page.run("""
      window.copies = [], window.files = [];
      navigator.clipboard.writeText = async (text) => void copies.push(text);
      URL.createObjectURL = (blob) => (blob.text().then((text) => files.push(text)), "#");
    """)
    choose(page, "Copiar filas")
    page.wait_until("copies.length === 1")
    page.shows("2 filas copiadas")
    heads, first, second = [line.split("\t") for line in page.run("return copies[0]").splitlines()]
    row = dict(zip(heads, first, strict=True))
    assert (row["symbol"], row["last"], row["is_mid"]) == ("'=A1", "1.15", "1")
    assert (row["spread"], row["time"]) == ("0.1", "2022-01-01T00:00:00.500Z")
    assert dict(zip(heads, second, strict=True))["last"] == "-1034.50"
    choose(page, "Descargar CSV")
    page.wait_until("files.length === 1")
    assert page.run("return files[0]").split("\r\n")[1].startswith("'=A1,1.15,1.1,1.2,0.1,")
    press(page, "ArrowDown")
    press(page, "c", ctrlKey=True)
    page.wait_until("copies.length === 2")
    assert len(page.run("return copies[1]").splitlines()) == 2


STUB = """
window.asked = 0, window.notes = [];
window.Notification = class {
  static permission = "default";
  static async requestPermission() { asked++; return (this.permission = "granted"); }
  constructor(title, { body }) { notes.push(`${title}: ${body}`); }
};
"""


def test_an_alert_is_given_once_when_the_price_reaches_its_limit(system, browser):
    page, feed = board(system, browser, {"A": {"last": "9.99"}}, path="/?symbol=A")
    page.run(STUB)
    page.wait_until("document.querySelector('.alert form') !== null")
    assert page.run("return asked") == 0
    page.run("document.querySelector('.alert input').value = 'x'; "
             "document.querySelector('.alert form').requestSubmit()")
    page.shows("A price is a number like 1034.50")
    page.run("document.querySelector('.alert input').value = '10.00'; "
             "document.querySelector('.alert form').requestSubmit()")
    page.shows("≥ 10.00")
    assert page.run("return asked") == 1
    feed.quote("A", last="9.995")
    page.wait_until(f"{cell('A', 'last')} === '9.995'")
    assert page.run("return notes") == []
    feed.quote("A", last="10")
    page.shows("Alert: A is 10.000 (≥ 10.00)")
    feed.quote("A", last="11")
    page.wait_until(f"{cell('A', 'last')} === '11.000'")
    assert page.run("return notes") == ["Pregón · A: Alert: A is 10.000 (≥ 10.00)"]
    assert page.run(KEPT)["alerts"] == []
    assert page.violations() == [] and page.errors() == []


def test_settings_that_make_no_sense_are_ignored(system, browser):
    foreign = {"favourites": ["A", 5, "<b>", "A"], "columns": "all", "alerts": [None, {}, {
        "symbol": "A", "when": "above", "price": "Infinity"}], "isCompact": "yes"}
    page, feed = board(system, browser, {"A": {"last": "1"}}, kept=json.dumps(foreign))
    page.wait_until(f"{cell('A', 'star')} === '★'")
    page.run("localStorage.setItem('pregon.board', '{')")
    page.driver.refresh()
    page.wait_until(f"{cell('A', 'star')} === '☆'")
    assert page.errors() == []


def test_changes_flash_but_not_when_there_are_many(system, browser):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("A", last="1")
    feed.wait_processed()
    page = browser.open(gateway.url + "/docs")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-reduced-motion", "value": "no-preference"}]})
    page.driver.get(gateway.url + "/")
    page.wait_until(f"{cell('A', 'last')} === '1'")
    page.run("const { animate } = Element.prototype; window.flashes = 0; Element.prototype.animate "
             "= function (...its) { flashes++; return animate.apply(this, its); }")
    feed.quote("A", last="2")
    page.wait_until("flashes === 1")
    feeder = system.feeder(broker, "sim:5", feed="sim", rate=500)
    page.wait_until("document.querySelector('#rows [data-move]') !== null")
    page.run("flashes = 0; window.before = document.body.innerText")
    page.wait_until("document.body.innerText !== before")
    assert page.run("return flashes") == 0
    feeder.stop()


DAY = """
const [done] = arguments;
import("/www/board-quotes.js").then(({ Entry }) => {
  const entry = new Entry("X"), seen = [];
  const take = (quote) => {
    entry.take({ symbol: "X", timestamp: 1, ...quote }, 1);
    seen.push([entry.change, entry.base.kind, entry.of("low"), entry.of("high"), entry.volume]);
  };
  take({ type: "snapshot", last: "1.5" });
  take({ type: "quote", last: "1.6", open: "1.1" });
  take({ type: "snapshot", last: "1.5", volume: "7", low: "1.3",
    day: { open: "1.4", high: "1.5", low: "1.2", previous_close: "1.45", volume: "9" } });
  take({ type: "quote", last: "1.55",
    day: { open: "1.4", high: "1.55", low: "1.2", previous_close: "1.45" } });
  take({ type: "quote", last: "1.50", open: "1.0" });
  return seen;
}).then(done, (error) => done(String(error)));
"""


def test_change_and_range_are_those_of_the_trading_day(system, browser):
    broker, gateway = system.start()
    page = browser.open(gateway.url + "/docs")
    assert page.driver.execute_async_script(DAY) == [
        ["0.0", "seen", None, None, None],
        ["+0.5", "open", None, None, None],
        ["+0.05", "previous_close", "1.2", "1.5", "7"],
        ["+0.10", "previous_close", "1.2", "1.55", "7"],
        ["+0.05", "previous_close", "1.2", "1.55", "7"],
    ]
