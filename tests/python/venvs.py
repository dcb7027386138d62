#!/usr/bin/python3
"""Build the wheel of consumer/python and install it in fresh environments of several Pythons.

    tests/python/venvs.py build/python

Makes DIR/dist with the wheel, and DIR/venvs/VERSION-oldest and VERSION-newest for each supported
Python that this machine has: with the oldest and the newest supported websockets.  DIR/venvs/tools
has mypy, build and pandas.
"""

import concurrent.futures
import glob
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGE = os.path.join(ROOT, "consumer", "python")
TOOLS = ["build", "mypy", "pandas", "pandas-stubs", "websockets"]
MINORS = range(9, 14)
OLDEST = "12"


def pythons():
    """{"3.9": path}: of PATH, of Debian, of pyenv."""
    found = {}
    for minor in MINORS:
        name = f"3.{minor}"
        installed = shutil.which("python" + name, path="/usr/bin:/usr/local/bin")
        home = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
        candidates = [installed] if installed else []
        candidates += sorted(glob.glob(f"{home}/versions/{name}.*/bin/python"))
        if candidates:
            found[name] = candidates[-1]
    return found


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")


def install(pip, python, folder, requirements, wheel=None):
    """A fresh environment, or the one of the run before; the package is always the new one."""
    complete = os.path.join(folder, "complete")
    wanted = f"{python} {requirements}"
    if not os.path.exists(complete) or open(complete, encoding="utf-8").read() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        run(python, "-m", "venv", "--without-pip", folder)
        run(*pip, "--python", os.path.join(folder, "bin", "python"), "install", *requirements)
        with open(complete, "w", encoding="utf-8") as f:
            f.write(wanted)
    if wheel:
        run(*pip, "--python", os.path.join(folder, "bin", "python"), "install", "--no-deps",
            "--force-reinstall", wheel)
    return folder


def main():
    directory = os.path.abspath(sys.argv[1])
    venvs, dist = os.path.join(directory, "venvs"), os.path.join(directory, "dist")
    found = pythons()
    if not found:
        sys.exit("no Python 3.9 to 3.13 here; on Debian: apt-get install python3 python3-venv")
    newest = found[list(found)[-1]]
    outer = os.path.join(venvs, "pip")
    if not os.path.exists(os.path.join(outer, "bin", "pip")):
        run(newest, "-m", "venv", outer)
    pip = [os.path.join(outer, "bin", "python"), "-m", "pip", "-q", "--disable-pip-version-check"]
    tools = install(pip, newest, os.path.join(venvs, "tools"), TOOLS)
    shutil.rmtree(dist, ignore_errors=True)
    # The wheel is made from the source distribution, as for PyPI.
    run(os.path.join(tools, "bin", "python"), "-m", "build", "--outdir", dist, PACKAGE)
    (wheel,) = glob.glob(os.path.join(dist, "pregon-*.whl"))
    wanted = [(newest, "tools", TOOLS)]
    for name, python in found.items():
        wanted.append((python, f"{name}-oldest", [f"websockets=={OLDEST}.*", wheel]))
        wanted.append((python, f"{name}-newest", ["websockets", wheel]))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for folder in pool.map(lambda w: install(pip, w[0], os.path.join(venvs, w[1]), w[2], wheel),
                               wanted):
            print("  PIP ", os.path.relpath(folder, ROOT))


if __name__ == "__main__":
    main()
