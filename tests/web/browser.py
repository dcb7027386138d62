"""Chromium, controlled by a test.

    page = browser.open(gateway.url + "/", variant)
    page.shows("USD/THB")
    page.wait_until('heard.filter((h) => h[0] === "quote").length > 9')

It is Debian's Chromium with its chromedriver, one process for all tests; each test opens a new tab.
"""

import http.server
import json
import os
import shutil
import threading

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

import pregon
from node import MODULES, PACKAGE

SHOTS = os.path.join(pregon.ROOT, "build", "web-screenshots")

#: How a page may be looked at: name → (language, colours, width).
VARIANTS = {
    "en-light": ("en-GB,en", "light", 1280),
    "es-dark": ("es-AR,es", "dark", 1280),
    "es-light-phone": ("es-AR,es", "light", 360),
    "en-dark-phone": ("en-GB,en", "dark", 360),
}

LISTEN = """
const [url, options, done] = arguments;
import(options.module ?? "/www/pregon.js").then(({ connect }) => {
  window.heard = [];
  const tell = (kind) => (what) => heard.push([kind, what]);
  window.client = connect(url, {
    onQuote: tell("quote"), onSnapshot: tell("snapshot"), onState: tell("state"),
    onLost: tell("lost"),
    onReset: tell("reset"), onStatus: tell("status"), onError: tell("error"), ...options,
  });
  done(null);
}, (error) => done(String(error)));
"""


class Page:
    def __init__(self, driver):
        self.driver = driver

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait_until(self, expression, patience=None):
        """Wait until a JavaScript expression is true, and return it."""
        return pregon.eventually(
            lambda: self.run(f"return {expression}"), what=expression, patience=patience
        )

    def shows(self, text):
        """Wait until the page shows a text."""
        what = json.dumps(text)
        return self.wait_until(f"document.body.innerText.includes({what}) || undefined")

    def follow(self, url, **options):
        """Start a client of pregon.js; its events are in the page's variable `heard`."""
        error = self.driver.execute_async_script(LISTEN, url, options)
        assert not error, error

    def received(self, kind):
        return self.run("return heard.filter((h) => h[0] === arguments[0]).map((h) => h[1])", kind)

    def receive(self, kind, **fields):
        wanted = json.dumps(fields)
        return self.wait_until(
            f"(heard.find(([kind, what]) => kind === {json.dumps(kind)} && "
            f"Object.entries({wanted}).every(([k, v]) => what[k] === v)) ?? [])[1]")

    def errors(self):
        """Errors on the console since the last call."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]

    def violations(self):
        """Accessibility faults that axe-core finds."""
        with open(os.path.join(MODULES, "axe-core", "axe.min.js"), encoding="utf-8") as f:
            self.run(f.read())
        found = self.driver.execute_async_script(
            "axe.run().then((r) => arguments[0](r.violations), (e) => arguments[0]([{ id: "
            "String(e), nodes: [] }]))"
        )
        return [f"{v['id']}: {v.get('help')} {[n['html'] for n in v['nodes']][:5]}" for v in found]

    def screenshot(self, name):
        os.makedirs(SHOTS, exist_ok=True)
        self.driver.save_screenshot(os.path.join(SHOTS, name + ".png"))


class Browser:
    def __init__(self):
        missing = [program for program in ("chromium", "chromedriver") if not shutil.which(program)]
        assert not missing, f"there is no {missing[0]}: tools/install-deps browser"
        options = Options()
        options.binary_location = shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (
            "headless=new",
            "no-sandbox",
            "disable-dev-shm-usage",
            "disable-background-networking",
            "hide-scrollbars",
            "force-prefers-reduced-motion",
        ):
            options.add_argument("--" + flag)
        self.driver = webdriver.Chrome(
            service=Service(shutil.which("chromedriver")), options=options
        )
        self.driver.set_script_timeout(pregon.PATIENCE)
        self.agent = self.driver.execute_script("return navigator.userAgent")
        self.first = self.driver.current_window_handle

    def open(self, url, variant="en-light"):
        language, colours, width = VARIANTS[variant]
        self.driver.switch_to.new_window("tab")
        for command, how in (
            (
                "Emulation.setUserAgentOverride",
                {"userAgent": self.agent, "acceptLanguage": language},
            ),
            (
                "Emulation.setEmulatedMedia",
                {"features": [{"name": "prefers-color-scheme", "value": colours}]},
            ),
            (
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 800},
            ),
        ):
            self.driver.execute_cdp_cmd(command, how)
        self.driver.get(url)
        return Page(self.driver)

    def clear(self):
        """Close all tabs of a test."""
        for handle in self.driver.window_handles:
            if handle != self.first:
                self.driver.switch_to.window(handle)
                self.driver.close()
        self.driver.switch_to.window(self.first)
        self.driver.get_log("browser")

    def close(self):
        self.driver.quit()


class ForeignSite:
    """Another web server; it serves a folder, by default a copy of pregon.js."""

    def __init__(self, directory=PACKAGE):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *its):
                super().__init__(*its, directory=directory)

            def log_message(self, *its):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="session")
def chromium():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def browser(system, chromium):
    """This fixture ends before the system does, so that pages close before their gateway ends."""
    yield chromium
    chromium.clear()
