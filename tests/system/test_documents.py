"""The documents lead where they say: links, their anchors, and the numbers of decisions."""

import ast
import functools
import os
import re
import subprocess
import sys

import pytest

import pregon


@functools.lru_cache(maxsize=None)
def text_of(path):
    with open(os.path.join(pregon.ROOT, path), encoding="utf-8") as f:
        return f.read()


def tracked(*patterns):
    listed = subprocess.check_output(
        ["git", "ls-files", "--", *patterns], cwd=pregon.ROOT, text=True
    )
    return listed.split()


@functools.lru_cache(maxsize=None)
def anchors(path):
    """The anchors that GitHub makes of headings, and those in the text."""
    text = re.sub(r"^```.*?^```", "", text_of(path), flags=re.M | re.S)
    names = set(re.findall(r'<a id="([^"]+)">', text))
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        names.add(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return names


def test_every_link_of_the_documents_leads_to_a_file_and_a_heading_that_exist():
    wrong = []
    for path in tracked("*.md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            found = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
            if not os.path.exists(os.path.join(pregon.ROOT, found)):
                wrong.append(f"{path}: {target}: there is no {found}")
            elif anchor and found.endswith(".md") and anchor not in anchors(found):
                wrong.append(f"{path}: {target}: {found} has no heading of that name")
    assert not wrong, "\n".join(wrong)


def test_a_decision_has_a_number_of_its_own_and_references_name_the_right_one():
    records = {os.path.basename(path)[:4]: path for path in tracked("docs/adr/*.md")}
    assert len(records) == len(tracked("docs/adr/*.md")), "two decisions have one number"
    for number, path in records.items():
        assert text_of(path).startswith(
            f"# {int(number)}. "
        ), f"{path}: another number in its title"
    wrong = []
    for path in tracked("*.md", "*.c", "*.h", "*.py", "Makefile"):
        text = text_of(path)
        names = [(n, None) for n in re.findall(r"docs/adr/(\d{4})\b", text)]
        names += [(n.zfill(4), None) for n in re.findall(r"\bADR (\d+)\b", text)]
        names += [(n.zfill(4), link) for n, link in re.findall(r"\[ADR (\d+)\]\(([^)]+)\)", text)]
        for number, link in names:
            if number not in records or link and not os.path.basename(link).startswith(number):
                wrong.append(f"{path}: ADR {number} {link or ''}")
    assert not wrong, "\n".join(wrong)


@functools.lru_cache(maxsize=None)
def words_of_the_sources():
    words = set()
    for path in tracked("*.c", "*.h", "*.py", "*.js", "*.cfg", "Makefile"):
        words |= set(re.findall(r"\w+", text_of(path)))
    return words


def what_is_missing(names):
    """The named files, folders, tests and functions that do not exist; test_make.py checks `make
    …`."""
    files = {os.path.basename(path) for path in tracked()}
    stems = {name.split(".")[0] for name in files}
    for name in names:
        name = name.rstrip("…_")
        last = os.path.basename(name)
        if " " in name or os.path.exists(os.path.join(pregon.ROOT, name)):
            continue
        if last.startswith("test_") and last not in files and last + ".c" not in files:
            yield f"there is no test {name}"
        elif (
            re.fullmatch(r"\w+\.\w+", last)
            and last.split(".")[1] in ("c", "h", "md", "py", "js", "cfg", "yml")
            and last not in files
        ):
            yield f"there is no file {name}"
        elif re.fullmatch(r"[\w/]+", name) and last not in files | stems | words_of_the_sources():
            yield f"nothing is called {name}"


@pytest.mark.parametrize("path", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_functions_files_and_tests_named_in_the_documents_exist(path):
    text = re.sub(r"^```.*?^```", "", text_of(path), flags=re.M | re.S)
    names = [n for n in re.findall(r"`([^`\n]+)`", text) if n not in ("_t", "module_verb_noun")]
    names = [n for n in names if not re.search(r"NAME|[*&()<>=…]\w|~", n)]
    assert len(names) > 40
    assert list(what_is_missing(names)) == []


def layers():
    """LAYERS of tools/arch-check: {folder: folders it uses}."""
    return ast.literal_eval(
        re.search(r"^LAYERS = (\{.*?^\})", text_of("tools/arch-check"), re.M | re.S)[1]
    )


def test_the_architecture_has_the_layers_that_are_checked():
    section = re.search(
        r"^## Folders and layers.*?(?=^## )", text_of("ARCHITECTURE.md"), re.M | re.S
    )[0]
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \|([^|]*)\|$", section, re.M)
    assert {folder: re.findall(r"`([^`]+)`", uses) for folder, uses in rows} == layers()


def test_every_state_module_of_the_architecture_has_no_io_and_no_clock():
    listed = subprocess.run(
        [sys.executable, "tests/mutation/mutate.py", "--state", "--list"],
        cwd=pregon.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert len(listed) > 50
    calls = (
        r"\b(?:clock_\w+|gettimeofday|time|recv(?:msg|from)?|send(?:msg|to)?|read|write|f?open"
        r"|zmq_\w+|e?poll(?:_\w+)?|sqlite3_\w+|mmap|msync)\("
    )
    for path in listed:
        code = re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:[^\"\\]|\\.)*\"", "", text_of(path), flags=re.S)
        assert re.findall(r"(?<![\w>.])" + calls, code) == [], path


def test_each_version_of_the_changelog_has_each_section_and_each_entry_once():
    for version in text_of("CHANGELOG.md").split("\n## ")[1:]:
        sections = re.findall(r"^### (.*)$", version, re.M)
        entries = [
            e.strip() for e in re.split(r"^(?:- |### .*$)", version, flags=re.M)[1:] if e.strip()
        ]
        for found in sections, entries:
            assert len(found) == len(set(found)), sorted(
                f for f in set(found) if found.count(f) > 1
            )


FIRST_CHECKED = "87d1e4b1c034"
SUBJECT_MAX = 72


def test_the_first_line_of_each_commit_has_at_most_72_characters():
    """Checks the commits after FIRST_CHECKED, or the newest ones in a clone without that commit."""

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=pregon.ROOT, capture_output=True, text=True, check=False
        )

    is_known = git("merge-base", "--is-ancestor", FIRST_CHECKED, "HEAD").returncode == 0
    commits = [f"{FIRST_CHECKED}..HEAD"] if is_known else ["-1"]
    lines = git("log", "--format=%h %s", *commits).stdout.split("\n")
    long = [line for line in lines if len(line.partition(" ")[2]) > SUBJECT_MAX]
    assert not long, "\n".join(long)
