"""The English and the Spanish documents say the same: sections, commands, names and links."""

import collections
import os
import re

import pytest

import pregon

PAIRS = [(f"{name}.md", f"{name}.es.md")
         for name in ("README", "docs/operations", "docs/troubleshooting", "docs/from-fastapi")]

# Words in capitals that stand for something, in both languages.
PLACEHOLDERS = {"ARCHIVO": "FILE", "NOMBRE": "NAME", "VALOR": "VALUE"}


def text_of(path):
    with open(os.path.join(pregon.ROOT, path), encoding="utf-8") as f:
        return f.read()


def blocks(text):
    """The blocks of code: (fence's language or "", lines without their comments)."""
    found = [(m[1], m[2]) for m in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)]
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    found += [("", m[0]) for m in re.finditer(r"(?:^    .*\n)+", text, re.M)]
    return found


def sections(text):
    """[(depth of the heading, the section's text)], without the title and the links on top."""
    plain = re.sub(r"^```.*?^```", lambda m: m[0].replace("\n#", "\n "), text, flags=re.M | re.S)
    parts = re.split(r"^(#+) .*$", plain, flags=re.M)
    return list(zip(map(len, parts[1::2]), parts[2::2]))


def names(text):
    """Names that no language changes: `code`, SETTINGS and --flags, with how often they occur."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    prose = re.sub(r"^    .*$", "", prose, flags=re.M)
    prose = re.sub(r"\]\([^)]*\)", "]", prose)
    code = re.findall(r"`([^`]+)`", prose)
    found = {" ".join(c.split()) for c in code}
    found |= set(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", prose))
    found = {re.sub("|".join(PLACEHOLDERS), lambda m: PLACEHOLDERS[m[0]], n) for n in found}
    # The bot has its commands in both languages.
    return {n.replace(" ", "") for n in found if not re.match(r"/[a-z]+( |$)|[<>]=?$", n)}


def commands(text):
    """The shell commands of indented blocks, without comments and shown output."""
    shown = "\n".join(block for kind, block in blocks(text) if not kind)
    shown = shown.replace("-H 'Accept-Language: es' ", "")
    lines = [line.split("  #")[0].strip() for line in shown.splitlines()]
    return collections.Counter(
        line for line in lines
        if re.match(r"(sudo|make|docker|curl|git|cd|build/|sqlite3|export|pregon-\w+ --)\b", line))


@pytest.mark.parametrize("english, spanish", PAIRS, ids=lambda p: os.path.basename(p))
def test_both_have_the_same_sections_in_the_same_order(english, spanish):
    depths = [[depth for depth, _ in sections(text_of(path))] for path in (english, spanish)]
    assert depths[0] == depths[1]


@pytest.mark.parametrize("english, spanish", PAIRS, ids=lambda p: os.path.basename(p))
def test_each_section_names_the_same_settings_codes_and_commands(english, spanish):
    different = []
    for one, other in zip(sections(text_of(english)), sections(text_of(spanish))):
        apart = names(one[1]) ^ names(other[1])
        if apart:
            different.append((one[1].strip()[:50], sorted(apart)))
    assert different == []


@pytest.mark.parametrize("english, spanish", PAIRS, ids=lambda p: os.path.basename(p))
def test_both_show_the_same_commands_and_tables(english, spanish):
    assert commands(text_of(english)) == commands(text_of(spanish))
    rows = [[len(re.findall(r"^\|", text, re.M)) for _, text in sections(text_of(path))]
            for path in (english, spanish)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("path", [spanish for _, spanish in PAIRS])
def test_a_spanish_document_leads_to_spanish_ones_where_there_are_any(path):
    """Except for the link to its own original."""
    for target in re.findall(r"\]\(([^)\s#]+\.md)[^)]*\)", text_of(path)):
        found = os.path.normpath(os.path.join(os.path.dirname(path), target))
        assert found in path.replace(".es.md", ".md") or found not in dict(PAIRS), target


@pytest.mark.parametrize("path", [spanish for _, spanish in PAIRS])
def test_the_spanish_is_that_of_latin_american_engineers(path):
    """The reader is tú; no words of usted, of Spain, or English in disguise."""
    prose = re.sub(r"^```.*?^```|^    .*$|`[^`]*`", "", text_of(path), flags=re.M | re.S)
    wrong = re.findall(
        r"(?i)\b(ustedes|usted|vosotros|haga|ejecute|agregue|revise|vuestr\w+|ordenador(?:es)?|"
        r"fichero\w*|librerías?|soporta\w*|remover|edad(?:es)?|historia|la historia|"
        r"performance|eventualmente|asumir)\b", prose)
    assert wrong == []
