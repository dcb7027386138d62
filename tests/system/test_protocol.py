"""The specification in docs/protocol has every op, message, field and route of the sources."""

import json
import os
import re

import pytest

import pregon

FOLDER = os.path.join("docs", "protocol")


def text_of(*path):
    with open(os.path.join(pregon.ROOT, *path), encoding="utf-8") as f:
        return f.read()


def sources(folder):
    for name in sorted(os.listdir(os.path.join(pregon.ROOT, folder))):
        if name.endswith((".c", ".h")):
            yield text_of(folder, name)


def ops_of(folder):
    """The names in the folder's tables of ops: {"name", function, …}."""
    found = set()
    for text in sources(folder):
        for table in re.findall(r"\bops\[\] = \{\n(.*?)^\};", text, re.M | re.S):
            found |= set(re.findall(r'\{"(\w+)", ', table))
    assert found, f"{folder} has no table of ops"
    return found


def headings(page):
    found = re.findall(r"^##+ (.*)$", text_of(FOLDER, page), re.M)
    return {re.split(r"[ ,]", heading)[0].strip("`") for heading in found}


def test_every_request_to_the_broker_has_a_section():
    assert ops_of("broker/core") - headings("wire.md") - headings("locks.md") == set()
    assert ops_of("broker/locks") - headings("locks.md") == set()


def test_every_request_of_a_client_has_a_section():
    assert ops_of("gateway/session") - headings("stream.md") == set()


def test_every_message_of_the_stream_has_a_section_and_all_its_members():
    schemas = json.loads(text_of("gateway", "www", "openapi.json"))["components"]["schemas"]
    page = text_of(FOLDER, "stream.md")
    messages = {}
    for name, schema in schemas.items():
        properties = schema.get("properties", {})
        if "const" in properties.get("type", {}) and not name.startswith("History"):
            messages.setdefault(properties["type"]["const"], set()).update(properties)
    assert len(messages) > 8
    assert set(messages) - headings("stream.md") == set()
    for kind, members in messages.items():
        section = re.search(rf"^### {kind}\n(.*?)(?=^##)", page, re.M | re.S)[1]
        fields = set(re.findall(r'"bid"|"ask"|"(\w+)"', section)) | set(
            re.findall(r"`(\w+)`", section)
        )
        quote = set(schemas["Quote"]["properties"]) - {"trace"}
        missing = members - fields - (quote if kind in ("quote", "snapshot") else set())
        assert missing == set(), kind


def test_every_route_of_the_openapi_document_is_in_the_specification():
    paths = json.loads(text_of("gateway", "www", "openapi.json"))["paths"]
    pages = text_of(FOLDER, "http.md") + text_of(FOLDER, "locks.md")
    written = [re.sub(r"\{(\w+)\}", lambda m: m[1].upper(), path) for path in paths]
    assert [path for path in written if f"`{path.replace('FILE', 'NAME')}`" not in pages] == []


@pytest.mark.parametrize(
    "list_of,file", [("QUOTE_REFUSALS", "quote.h"), ("QUOTE_FIELDS", "quote.h")]
)
def test_every_field_of_a_quote_and_every_reason_to_refuse_one_is_listed(list_of, file):
    text = text_of("shared", "wire", file)
    names = re.search(rf"#define {list_of}\(X\)(.*?[^\\])\n", text, re.S)[1]
    names = [name.lower() for name in re.findall(r"X\((\w+),", names)]
    assert len(names) > 10
    page = text_of(FOLDER, "README.md")
    assert [n for n in names if n != "accepted" and f"`{n}`" not in page] == []


def test_every_error_of_the_broker_is_explained():
    codes = re.findall(r"X\(ERR_(\w+), ", text_of("shared", "base", "err.h"))
    used = {
        code.lower()
        for folder in ("broker/core", "broker/locks", "broker/answer")
        for text in sources(folder)
        for code in re.findall(r"answer_error\([^;]*?\bERR_(\w+)", text)
    }
    assert used and used <= {code.lower() for code in codes}
    pages = text_of(FOLDER, "wire.md") + text_of(FOLDER, "locks.md")
    assert [code for code in sorted(used) if f"`{code}`" not in pages] == []


@pytest.mark.parametrize("page", ["wire.md", "locks.md", "stream.md"])
def test_the_examples_are_well_formed(page):
    count = 0
    text = re.sub(r"^```.*?^```", "", text_of(FOLDER, page), flags=re.M | re.S)
    for block in re.findall(r"(?:^    .*\n)+", text, re.M):
        for example in re.findall(r'\{"(?:op|re|type)":.*?\}(?=\n +\{|\n*\Z)', block, re.S):
            example = re.sub(r"<bytes>", '"bytes"', example)
            if "…" in example:
                continue
            json.loads(example)
            count += 1
    assert count > 5
