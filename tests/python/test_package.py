"""The wheel, its types, its version and its license."""

import glob
import os
import re
import subprocess
import zipfile

import pytest

import pregon
from programs import PACKAGE, TOOLS, VENVS, Program

DIST = os.path.join(os.path.dirname(VENVS), "dist")


def text_of(*path):
    with open(os.path.join(pregon.ROOT, *path), encoding="utf-8") as f:
        return f.read()


def test_it_has_the_version_and_the_license_of_the_programs():
    version = re.search(r'PREGON_VERSION "(.*)"', text_of("shared", "base", "version.h"))[1]
    package = re.search(r'^__version__ = "(.*)"$', text_of(PACKAGE, "pregon", "__init__.py"), re.M)
    assert package[1] == version
    assert text_of(PACKAGE, "LICENSE") == text_of("LICENSE")
    assert [os.path.basename(name) for name in sorted(glob.glob(os.path.join(DIST, "*")))] == [
        f"pregon-{version}-py3-none-any.whl", f"pregon-{version}.tar.gz"]


def test_the_wheel_has_the_package_its_types_and_nothing_else():
    (wheel,) = glob.glob(os.path.join(DIST, "*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA")))
    sources = {"pregon/" + name for name in os.listdir(os.path.join(PACKAGE, "pregon"))
               if not name.startswith("__pycache__")}
    assert names == sources and "pregon/py.typed" in names
    for line in ("Requires-Python: >=3.9", "Requires-Dist: websockets>=12",
                 "License-Expression: MIT"):
        assert line in metadata.decode().splitlines()


def test_its_types_are_strict_for_itself_and_for_a_program(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("""
import asyncio
from decimal import Decimal
import pregon

async def main() -> None:
    async for quote in pregon.follow("http://127.0.0.1:8000", symbols=["DAX"], mode="all"):
        price: Decimal | None = quote.last
        print(price)

def plain() -> pregon.Published:
    with pregon.lock("bot", "http://127.0.0.1:8000", token="t") as held:
        held.check()
    for quote in pregon.follow_sync("http://127.0.0.1:8000"):
        print(quote.symbol)
    return pregon.publish("http://127.0.0.1:8000", {"symbol": "DAX", "last": "1"}, token="t")

asyncio.run(main())
""")
    mypy = [TOOLS, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    for words, where in ((mypy, PACKAGE), ([*mypy, str(program)], str(tmp_path))):
        done = subprocess.run(words, cwd=where, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.py"
    wrong.write_text('import pregon\npregon.follow("http://a", mode="both")\n')
    done = subprocess.run([*mypy, str(wrong)], capture_output=True, text=True)
    assert done.returncode == 1 and "mode" in done.stdout


def snippets(path):
    return re.findall(r"^```python\n(.*?)^```$", text_of(path), re.M | re.S)


@pytest.mark.every_python
def test_the_programs_of_its_manual_run(system, python):
    broker, gateway = system.start(publish_token="s3cret", locks_token="open-sesame")
    follow, publish, publisher, read, lock = (
        text.replace("http://127.0.0.1:8000", gateway.url)
        for text in snippets("consumer/python/README.md"))
    imports = "import pregon\n"
    Program(system, python, imports + publish + publisher).finish()
    read = read.replace("print(past.to_frame())  # needs pandas\n", "")
    assert Program(system, python, imports + read).finish() == "1628.75 True"
    lock = "turns = iter([True, False])\ndef work():\n    return next(turns)\n" + lock
    Program(system, python, imports + lock).finish()
    client = Program(system, python, follow)
    client.wait_for_log(r"^DAX 1628\.75 None None \d+-")
    client.kill()
