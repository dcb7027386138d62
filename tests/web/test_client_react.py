"""pregon/react from the packed package, bundled with the current React, in Chromium."""

import os
import shutil
import subprocess

import pytest

from browser import ForeignSite
from node import HERE, MODULES, NODE, Package


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The folder of a built page."""
    package = Package(str(tmp_path_factory.mktemp("app")))
    shutil.copy(os.path.join(HERE, "app.jsx"), package.file("app.jsx"))
    subprocess.run(
        [os.path.join(MODULES, ".bin", "esbuild"), "app.jsx", "--bundle", "--format=esm",
         "--jsx=automatic", "--outfile=app.js", "--log-level=warning"],
        cwd=package.directory, check=True,
    )
    with open(package.file("index.html"), "w", encoding="utf-8") as f:
        f.write('<!doctype html><title>app</title><link rel=icon href="data:,">'
                '<div id="root"></div><script type="module" src="app.js"></script>')
    return package.directory


def text(element):
    return f"document.getElementById('{element}')?.textContent"


def test_components_share_one_connection_and_show_quotes_through_a_restart(system, browser, app):
    site = system.add(ForeignSite(app))
    broker, gateway = system.start(cors_origins=site.origin)
    feed = system.feed(broker)
    for symbol in ("A", "B1", "B2", "C"):
        feed.quote(symbol, last="1.50")
    feed.wait_processed()
    page = browser.open(f"{site.origin}/?url={gateway.url}")
    page.wait_until(f"{text('A')} === 'A 1.50 live'")
    page.wait_until(f"{text('b')} === 'B1=1.50 B2=1.50'")
    assert gateway.status()["active_connections"] == 1
    page.run("show(['A', 'C'])")
    page.wait_until(f"{text('C')} === 'C 1.50 live'")
    assert gateway.status()["active_connections"] == 1
    gateway.kill()
    feed.quote("A", last="1.75")
    feed.wait_processed()
    page.wait_until(f"{text('phase')} === 'waiting'")
    gateway.start()
    page.wait_until(f"{text('A')} === 'A 1.75 live'")
    assert page.run("return document.getElementById('C').textContent") == "C 1.50 live"


def test_what_no_component_uses_is_unsubscribed(system, browser, app):
    site = system.add(ForeignSite(app))
    broker, gateway = system.start(cors_origins=site.origin)
    feed = system.feed(broker)
    for symbol in ("A", "B"):
        feed.quote(symbol, last="1")
    feed.wait_processed()
    page = browser.open(f"{site.origin}/?url={gateway.url}")
    page.wait_until(f"{text('A')} === 'A 1 live'")
    page.run("show([])")
    page.wait_until(f"{text('A')} === undefined")
    page.wait_until("sent.filter(({ op }) => op === 'unsubscribe').length")
    assert [m["symbols"] for m in page.run("return sent") if m["op"] == "unsubscribe"] == [["A"]]
    page.run("show(['A'])")
    page.wait_until(f"{text('A')} === 'A 1 live'")


def test_a_burst_of_quotes_renders_once_a_frame(system, browser, app):
    site = system.add(ForeignSite(app))
    broker, gateway = system.start(cors_origins=site.origin)
    feed = system.feed(broker)
    feed.quote("A", last="0")
    feed.wait_processed()
    page = browser.open(f"{site.origin}/?url={gateway.url}")
    page.wait_until(f"{text('A')} === 'A 0 live'")
    page.run(
        "window.frames = renders = 0; (function f() { frames++; requestAnimationFrame(f); })()"
    )
    for n in range(1, 501):
        feed.quote("A", last=str(n))
    feed.wait_processed()
    page.wait_until(f"{text('A')} === 'A 500 live'")
    frames, renders = page.run("return [frames, renders]")
    assert renders <= 2 * frames + 2, "StrictMode renders twice"  # 2: before the first frame


def test_on_a_server_the_page_has_no_quotes_yet(app):
    code = """
        import { createElement } from "react";
        import { renderToString } from "react-dom/server";
        import { useQuotes } from "pregon/react";
        const Price = () => {
          const { quotes, status } = useQuotes(["A"], { url: "http://127.0.0.1:9" });
          return createElement("b", {}, `${quotes.A?.last ?? "none"} ${status.phase}`);
        };
        console.log(renderToString(createElement(Price)));
    """
    with open(os.path.join(app, "server.mjs"), "w", encoding="utf-8") as f:
        f.write(code)
    done = subprocess.run([NODE, os.path.join(app, "server.mjs")], capture_output=True, text=True)
    assert done.stdout == "<b>none connecting</b>\n", done.stderr
