"""What the README says works: its clients are taken out of it and run."""

import os
import re
import shutil
import subprocess
import sys

import pytest

import pregon
from sieve import Sieve

READMES = ["README.md", "README.es.md"]


def text_of(name):
    with open(os.path.join(pregon.ROOT, name), encoding="utf-8") as f:
        return f.read()


def snippets(readme, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(readme), re.M | re.S)


def snippet(readme, language):
    """The longest piece in that language that is no file of the examples."""
    found = [text for text in snippets(readme, language) if text != example("follow.py")]
    assert found, f"{readme} has no {language}"
    return max(found, key=len)


def bot_of(readme):
    """The piece of Python that takes a lock."""
    found = re.findall(r"^```python\n(.*?)^```$", text_of(readme), re.M | re.S)
    (bot,) = [code for code in found if "/cotizaciones/locks/" in code]
    return bot


def example(name):
    return text_of(os.path.join("consumer", "examples", name))


def rows(readme, heading):
    """The cells of the tables under a heading."""
    section = re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", text_of(readme), re.M | re.S)[1]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ][2:]


def node_command():
    """Node with a WebSocket of its own, or None."""
    node = shutil.which("node")
    for flags in ([], ["--experimental-websocket"]) if node else ():
        probe = subprocess.run(
            [node, *flags, "-e", "process.exit(typeof WebSocket === 'function' ? 0 : 1)"],
            stderr=subprocess.DEVNULL,
        )
        if probe.returncode == 0:
            return [node, *flags]
    return None


class Snippet(pregon.Process):
    """A client of the README as a process of its own."""

    def __init__(self, stage, gateway, command, name, code):
        code = code.replace("127.0.0.1:8000", "127.0.0.1:%d" % gateway.port)
        code = code.replace("./consumer/js/", os.path.join(pregon.ROOT, "consumer", "js", ""))
        path = stage.path(name, code)
        super().__init__(name, name, {}, cwd=stage.directory.name, command=[*command, path])
        stage.processes.append(self)
        self.start(wait=False)


def follow_through_everything(stage, command, name, code):
    """Snapshot, quote, a gateway that restarts, staleness."""
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    feed.quote("DAX", bid="1.0842", ask="1.0843")
    feed.quote("GOLD", last="2411.10")
    feed.settled()
    client = Snippet(stage, gateway, command, name, code)
    client.says(r"^DAX 1\.0842 / 1\.0843 live$")
    feed.quote("USD/THB", last="24.90")
    client.says(r"^USD/THB 24\.90 live$")
    gateway.stop()
    feed.quote("USD/THB", last="24.95")
    feed.settled()
    gateway.start()
    client.says(r"^USD/THB 24\.95 live$")
    feed.goodbye()
    client.says(r"^DAX 1\.0842 / 1\.0843 stale$")
    assert not client.logged("GOLD")
    client.kill()


def asking(code, name, value):
    """The client with one more parameter."""
    for there, more in (("symbols=DAX,USD*", f"&{name}={value}"), ('["DAX", "USD*"],', f' {name}: "{value}",')):
        if code.count(there) == 1:
            return code.replace(there, there + more)
    raise AssertionError("it does not say what it asks for")


def lose_nothing_in_mode_all(stage, command, name, code):
    """Every quote once and in order, whatever becomes of the gateway."""
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    client = Snippet(stage, gateway, command, name, asking(code, "mode", "all"))

    def call(first, last):
        for n in range(first, last + 1):
            feed.quote("USD/THB", last=str(n))
        feed.settled()

    call(1, 1)
    client.says(r"^USD/THB 1 live$")
    call(2, 10)
    client.says(r"^USD/THB 10 live$")
    for end, last in (("kill", 20), ("stop", 30)):
        getattr(gateway, end)()
        call(last - 9, last)
        gateway.start()
        client.says(rf"^USD/THB {last} live$")
    told = [int(m[1]) for m in client.logged(r"^USD/THB (\d+) live$")]
    assert told == list(range(1, 31))
    client.kill()


def fetch_what_is_missing(stage, command, name, code):
    """A record that a bad network swallowed is come back for."""
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    sieve = stage._with(Sieve(gateway))
    code = asking(code, "mode", "all").replace("127.0.0.1:8000", sieve.url.removeprefix("ws://"))
    client = Snippet(stage, gateway, command, name, code)

    def call(first, last):
        for n in range(first, last + 1):
            feed.quote("DAX", last=str(n))
        feed.settled()

    call(1, 1)
    client.says("^DAX 1 live$")
    sieve.swallow(b'"last":"3"', times=1)
    call(2, 5)
    client.says("^DAX 5 live$")
    assert [int(m[1]) for m in client.logged(r"^DAX (\d+) live$")] == [1, 2, 3, 4, 5]
    client.kill()


@pytest.mark.parametrize("readme", READMES)
def test_what_it_shows_of_programs_beside_the_broker_is_what_is_tested(readme):
    assert example("follow.py") in snippets(readme, "python")
    assert example("follow.c").split("\n", 1)[1] in snippets(readme, "c")


@pytest.mark.parametrize("readme", READMES)
def test_the_python_client_follows_quotes_through_a_restart(stage, readme):
    code = snippet(readme, "python")
    follow_through_everything(stage, [sys.executable, "-u"], "client.py", code)


@pytest.mark.parametrize("readme", READMES)
def test_the_python_client_loses_no_quote_in_mode_all(stage, readme):
    code = snippet(readme, "python")
    lose_nothing_in_mode_all(stage, [sys.executable, "-u"], "client.py", code)


@pytest.mark.parametrize("readme", READMES)
def test_the_python_client_comes_back_for_a_record_that_is_missing(stage, readme):
    fetch_what_is_missing(stage, [sys.executable, "-u"], "client.py", snippet(readme, "python"))


# From version 14 on another class is raised, and the old one is gone from 16 on.
AS_NEWER = """
import websockets

Old = websockets.InvalidStatusCode


class InvalidStatus(websockets.InvalidHandshake):
    pass


class connect(websockets.connect):
    async def __aenter__(self):
        try:
            return await super().__aenter__()
        except Old as e:
            raise InvalidStatus("server rejected WebSocket connection: HTTP 503") from e


websockets.connect = connect
websockets.InvalidStatusCode = None
"""
NEWEST = os.environ.get("PREGON_NEWEST_WEBSOCKETS")  # a Python that has them


@pytest.mark.parametrize("readme", READMES)
@pytest.mark.parametrize("version", ["installed", "newer", "newest"])
def test_the_python_client_tells_why_it_was_refused(stage, readme, version):
    if version == "newest" and not NEWEST:
        pytest.skip("PREGON_NEWEST_WEBSOCKETS names no Python")
    broker, gateway = stage.play(websocket_enabled=0)
    code = (AS_NEWER if version == "newer" else "") + snippet(readme, "python")
    client = Snippet(stage, gateway, [NEWEST if version == "newest" else sys.executable, "-u"],
                     "client.py", code)
    client.says(r"^refused: websocket_disabled: WebSockets are turned off here\. Set WEBSOCKET_ENABLED=1")
    client.kill()


@pytest.mark.parametrize("readme", READMES)
def test_the_python_client_names_a_parameter_that_does_not_exist(stage, readme):
    broker, gateway = stage.play()
    code = snippet(readme, "python").replace("symbols=DAX", "symbol=DAX")
    client = Snippet(stage, gateway, [sys.executable, "-u"], "client.py", code)
    client.says(r"^refused: malformed: The parameter 'symbol' does not exist here")
    client.kill()


@pytest.mark.parametrize("readme", READMES)
def test_the_javascript_client_follows_quotes_through_a_restart(stage, readme):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    follow_through_everything(stage, command, "client.mjs", snippet(readme, "js"))


@pytest.mark.parametrize("readme", READMES)
def test_the_javascript_client_loses_no_quote_in_mode_all(stage, readme):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    lose_nothing_in_mode_all(stage, command, "client.mjs", snippet(readme, "js"))


def test_the_javascript_client_comes_back_for_a_record_that_is_missing(stage):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    fetch_what_is_missing(stage, command, "client.mjs", snippet("README.md", "js"))


def test_the_javascript_client_tells_why_it_was_refused(stage):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    broker, gateway = stage.play(websocket_enabled=0)
    client = Snippet(stage, gateway, command, "client.mjs", snippet("README.md", "js"))
    client.says(r"^refused: websocket_disabled: .*WEBSOCKET_ENABLED")
    client.kill()


REJECTED = """
import { connect } from "./consumer/js/pregon.js";

connect("ws://127.0.0.1:8000", {
  symbols: ["dax", "DAX", "A", "B", "C"],
  onStatus: ({ phase, text, rejected }) => console.log("status", phase, text, JSON.stringify(rejected)),
  onError: (error) => console.log("error", error.code, JSON.stringify(error.symbols), error.message),
});
"""


def test_the_javascript_client_tells_what_was_rejected_and_why(stage):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    broker, gateway = stage.play(max_symbols=3)
    client = Snippet(stage, gateway, command, "rejected.mjs", REJECTED)
    client.says(r'^error rejected \["dax","C"\] the gateway does not take dax: no symbol: 1 to 32 of .*; did you mean '
                r"DAX\?; C: over the limit of 3 patterns, MAX_SYMBOLS$")
    client.says(r"^status connected connected; rejected: dax \(no symbol.*\), C \(over .*\) "
                r'\[\{"symbol":"dax","code":"bad_symbol","reason":"no symbol')
    client.kill()


MISSPELT = """
import { connect } from "./consumer/js/pregon.js";

connect("ws://127.0.0.1:8000/ws/cotizaciones?symbol=DAX&token=t0ps3cret", {
  onStatus: ({ phase, text }) => console.log("status", phase, text),
});
"""


def test_the_javascript_client_tells_which_parameter_of_its_address_does_not_exist(stage):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    broker, gateway = stage.play()
    client = Snippet(stage, gateway, command, "misspelt.mjs", MISSPELT)
    client.says(r"^status refused malformed: The parameter 'symbol' does not exist here")
    assert not gateway.logged("t0ps3cret")
    client.kill()


def test_the_javascript_client_shows_the_check_the_token_it_was_refused_with(stage):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    broker, gateway = stage.play(websocket_token="t0ps3cret", websocket_max_connections=1)
    code = asking(snippet("README.md", "js"), "token", "t0ps3cret")
    first = Snippet(stage, gateway, command, "first.mjs", code)
    stage.feed(broker).quote("DAX", last="1")
    first.says("^DAX 1 live$")
    second = Snippet(stage, gateway, command, "second.mjs", code)
    second.says(r"^refused: (max_connections|unauthorized): ")
    assert not second.logged("unauthorized")
    first.kill()
    second.kill()


@pytest.mark.parametrize("readme", READMES)
def test_the_python_client_backs_off_when_it_is_refused_by_close_code(stage, readme):
    broker, gateway = stage.play(websocket_max_connections=0, websocket_explain=1)
    code = snippet(readme, "python").replace("await asyncio.sleep(pause ", "print('attempt', attempt) or await asyncio.sleep(0 ")
    client = Snippet(stage, gateway, [sys.executable, "-u"], "client.py", code)
    client.says("^attempt 4$")
    client.kill()


@pytest.mark.parametrize("readme", READMES)
def test_the_bot_takes_its_lock_renews_it_and_releases_it(stage, readme):
    broker, gateway = stage.play(locks_token="open-sesame")
    bot = Snippet(stage, gateway, [sys.executable], "bot.py", bot_of(readme))
    bot.ends()
    done = [m[1] for m in gateway.logged(r'"(PUT|DELETE) /cotizaciones/locks/telegram-bot.* 200 OK')]
    assert done == ["PUT", "PUT", "DELETE"]
    (lock,) = gateway.page("telegram_locks_status")["locks"]
    assert (lock["name"], lock["state"], lock["token"] > 0) == ("telegram-bot", "free", True)

    held = {"Authorization": "Bearer open-sesame"}
    path = "/cotizaciones/locks/telegram-bot"
    assert gateway.get(path, "PUT", held, '{"owner":"another","ttl":60}').status == 200
    second = Snippet(stage, gateway, [sys.executable], "bot2.py", bot_of(readme))
    second.ends(1)
    assert second.logged("^held: .*another")
    assert not second.logged("Traceback")
    assert gateway.page("locks/telegram-bot")["holder"] == "another"


@pytest.mark.parametrize("readme", READMES)
def test_the_javascript_client_is_well_formed(stage, readme):
    if not shutil.which("node"):
        pytest.skip("there is no node")
    path = stage.path("client.mjs", snippet(readme, "js"))
    subprocess.run(["node", "--check", path], check=True)


@pytest.mark.parametrize("readme", READMES)
def test_the_quotes_shown_are_accepted(stage, readme):
    broker, gateway = stage.play()
    feeder = stage.feeder(broker, "-", feed="mine")
    feeder.write(snippet(readme, "json"))
    feeder.end_of_input()
    feeder.ends()
    assert gateway.page("quotes/EUR/USD")["bid"] == "1.0842"
    assert gateway.page("quotes/GOLD")["last"] == "2411.10"
    assert not feeder.logged("refused")


@pytest.mark.parametrize("readme", READMES)
def test_the_line_of_shell_feeds(stage, readme):
    broker, gateway = stage.play()
    line = snippet(readme, "sh").replace("build/release/bin", pregon.BIN)
    line = line.replace("while sleep 1", "for i in 1").strip()
    where = {k.upper(): broker.settings[k] for k in ("broker_ingest", "broker_control")}
    subprocess.run(["sh", "-c", line], env={**os.environ, **where}, check=True, timeout=60)
    assert re.fullmatch(r"\d+\.\d+", gateway.page("quotes/LOAD")["last"])


@pytest.mark.parametrize(
    "document,heading",
    [
        ("README.md", "Why was I refused\\?"),
        ("README.es.md", "¿Por qué me rechazó\\?"),
        ("docs/protocol/stream.md", "Refused handshakes"),
    ],
)
def test_every_refusal_is_explained(document, heading):
    with open(os.path.join(pregon.ROOT, "gateway", "access", "admission.h"), encoding="utf-8") as f:
        rules = re.findall(r"X\((\w+), (\d+), (\d+),", f.read())
    told = [(row[0].strip("`"), row[1]) for row in rows(document, heading)]
    assert told == [(code, status) for code, status, _ in rules]


@pytest.mark.parametrize(
    "readme,heading", [("README.md", "Settings"), ("README.es.md", "Ajustes")]
)
def test_the_settings_shown_have_these_defaults(readme, heading):
    known = re.findall(r"^\| (?:none|`--[\w-]+`) \| `(\w+)` \| (\S+) \|", text_of("docs/config.md"), re.M)
    for names, defaults, _ in rows(readme, heading):
        names, defaults = names.split(", "), defaults.replace("vacío", "empty").split(", ")
        assert len(names) == len(defaults)
        for name, default in zip(names, defaults):
            assert (name.strip("`"), default) in known


def anchors(text):
    """As GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.M)
    }


@pytest.mark.parametrize(
    "document", [*READMES, "CONTRIBUTING.md", "CHANGELOG.md", "docs/operations.md", "docs/troubleshooting.md", "docs/troubleshooting.es.md"]
)
def test_links_lead_somewhere(document):
    here = os.path.dirname(document)
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(here, path)) if path else document
        assert os.path.exists(os.path.join(pregon.ROOT, path)), target
        if anchor:
            assert anchor in anchors(text_of(path)), target
