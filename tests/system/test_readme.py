"""The READMEs are true: their client and their commands are extracted and run."""

import os
import re
import shutil
import subprocess

import pytest

import pregon
from example_client import Client, node_command

READMES = ["README.md", "README.es.md"]


def text_of(name):
    with open(os.path.join(pregon.ROOT, name), encoding="utf-8") as f:
        return f.read()


def snippets(readme, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(readme), re.M | re.S)


def snippet(readme, language):
    (text,) = snippets(readme, language)
    return text


def rows(readme, heading):
    """The cells of the tables under a heading."""
    section = re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", text_of(readme), re.M | re.S)[1]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ][2:]


@pytest.mark.parametrize("readme", READMES)
def test_it_is_short_and_links_to_every_example_which_a_test_runs(readme):
    assert len(text_of(readme).splitlines()) < 250
    folder = os.path.join("consumer", "examples")
    tests = "".join(
        text_of(os.path.join("tests", f"{name}.py"))
        for name in ("system/test_examples", "system/test_example_clients",
                     "system/test_lib_publish", "python/test_examples")
    )
    for name in set(os.listdir(os.path.join(pregon.ROOT, folder))) - {"README.md"}:
        assert f"({folder}/{name})" in text_of(readme), name
        assert f'"{name}"' in tests, name


@pytest.mark.parametrize("readme,picture", zip(READMES, ["board.svg", "board.es.svg"]))
def test_its_picture_shows_the_board_with_its_own_words(readme, picture):
    assert f"(docs/{picture})" in text_of(readme)
    texts = text_of("gateway/www/board-texts.js").split("  es: {")[picture == "board.es.svg"]
    columns = re.search(r"columns: \{(.*?)\}", texts, re.S)[1]
    # a star has no words; the recorded quotes have no volume and no range, and are not traced
    words = [word for name, word in re.findall(r'(\w+): "([^"]+)"', columns)
             if name not in ("star", "range", "volume", "latency")]
    words += re.findall(r'(?:board|status|docs|options|search|recorded): "([^"]+)"', texts)
    assert len(words) > 14
    assert [word for word in words if word not in text_of(f"docs/{picture}")] == []


@pytest.mark.parametrize("readme", READMES)
def test_its_client_shows_quotes_and_states_through_a_restart(system, readme):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    assert len(snippet(readme, "js").splitlines()) <= 10
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("DAX", bid="1.0842", ask="1.0843")
    feed.quote("GOLD", last="2411.10")
    feed.wait_processed()
    client = Client(system, gateway, command, "client.mjs", snippet(readme, "js"))
    client.wait_for_log(r"^DAX 1\.0842 / 1\.0843$")
    feed.quote("USD/THB", last="1")
    client.wait_for_log(r"^USD/THB 1$")
    gateway.stop()
    for n in range(2, 11):
        feed.quote("USD/THB", last=str(n))
    feed.wait_processed()
    gateway.start()
    client.wait_for_log(r"^USD/THB 10$")
    assert [int(m[1]) for m in client.logged(r"^USD/THB (\d+)$")] == list(range(1, 11))
    feed.goodbye()
    client.wait_for_log(r"^DAX stale$")
    assert not client.logged("GOLD")
    client.kill()


@pytest.mark.parametrize("readme", READMES)
def test_the_javascript_client_is_well_formed(system, readme):
    if not shutil.which("node"):
        pytest.skip("there is no node")
    path = system.path("client.mjs", snippet(readme, "js"))
    subprocess.run(["node", "--check", path], check=True)


@pytest.mark.parametrize("readme", READMES)
def test_the_quotes_shown_are_accepted(system, readme):
    broker, gateway = system.start()
    feeder = system.feeder(broker, "-", feed="mine")
    feeder.write(snippet(readme, "json"))
    feeder.end_of_input()
    feeder.wait_for_exit()
    assert gateway.page("quotes/EUR/USD")["bid"] == "1.0842"
    assert gateway.page("quotes/GOLD")["last"] == "2411.10"
    assert not feeder.logged("refused")


@pytest.mark.parametrize("readme", READMES)
def test_the_line_of_shell_feeds(system, readme):
    broker, gateway = system.start()
    line = snippet(readme, "sh").replace("build/release/bin", pregon.BIN)
    line = line.replace("while sleep 1", "for i in 1").strip()
    where = {k.upper(): broker.settings[k] for k in ("broker_ingest", "broker_control")}
    subprocess.run(["sh", "-c", line], env={**os.environ, **where}, check=True, timeout=60)
    assert re.fullmatch(r"\d+\.\d+", gateway.page("quotes/LOAD")["last"])


@pytest.mark.parametrize(
    "document,heading",
    [
        ("docs/troubleshooting.md", "Refused handshakes"),
        ("docs/troubleshooting.es.md", "Handshakes rechazados"),
        ("docs/protocol/stream.md", "Refused handshakes"),
    ],
)
def test_every_refusal_is_explained(document, heading):
    with open(os.path.join(pregon.ROOT, "gateway", "policy", "admission.h"), encoding="utf-8") as f:
        rules = re.findall(r"X\((\w+), (\d+), (\d+),", f.read())
    told = [(row[0].strip("`"), row[1]) for row in rows(document, heading)]
    assert told == [(code, status) for code, status, _ in rules]


@pytest.mark.parametrize(
    "readme,heading", [("README.md", "Settings"), ("README.es.md", "Ajustes")]
)
def test_the_settings_shown_have_these_defaults(readme, heading):
    known = re.findall(
        r"^\| (?:none|`--[\w-]+`) \| `(\w+)` \| (\S+) \|", text_of("docs/config.md"), re.M
    )
    for names, defaults, _ in rows(readme, heading):
        names, defaults = names.split(", "), defaults.replace("vacío", "empty").split(", ")
        assert len(names) == len(defaults)
        for name, default in zip(names, defaults):
            assert (name.strip("`"), default) in known


def anchors(text):
    """The anchors that GitHub makes."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.M)
    }


@pytest.mark.parametrize(
    "document",
    [
        *READMES,
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/operations.md",
        "docs/operations.es.md",
        "docs/troubleshooting.md",
        "docs/troubleshooting.es.md",
    ],
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
