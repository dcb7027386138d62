"""The document /openapi.json, and a check of answers against its schemas."""

import json
import os

import jsonschema
import pytest

import pregon

PATH = os.path.join(pregon.ROOT, "gateway", "www", "openapi.json")

with open(PATH, encoding="utf-8") as f:
    DOCUMENT = json.load(f)


def closed(node):
    """The document as a strict one: no object may have members that are not described."""
    if isinstance(node, list):
        return [closed(n) for n in node]
    if not isinstance(node, dict):
        return node
    strict = {key: closed(value) for key, value in node.items()}
    if node.get("type") == "object" and "properties" in node:
        strict.setdefault("additionalProperties", False)
    return strict


STRICT = closed(DOCUMENT)


def errors(value, schema, document=STRICT):
    resolver = jsonschema.RefResolver.from_schema(document)
    validator = jsonschema.Draft202012Validator(schema, resolver=resolver)
    return [f"{e.json_path}: {e.message[:300]}" for e in validator.iter_errors(value)]


def as_described(value, schema, what):
    """The schema, made strict, and unchanged, as a client that ignores later members would use
    it."""
    if isinstance(schema, str):
        schema = {"$ref": "#/components/schemas/" + schema}
    for document in (STRICT, DOCUMENT):
        wrong = errors(value, schema, document)
        assert not wrong, f"{what}: {wrong}\n{json.dumps(value)[:2000]}"


@pytest.fixture(scope="module")
def prepared(shared_system):
    return shared_system.start()
