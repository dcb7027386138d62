"""The npm package `pregon`, as npm packs it: its msgpack, its types, and both kinds of modules."""

import base64
import json
import os
import shutil
import subprocess

import msgpack
import pytest

import pregon
from node import HERE, MODULES, NODE, PACKAGE, Package


def test_the_msgpack_of_pregon_js_matches_other_implementations(system):
    values = [
        None,
        True,
        False,
        0,
        127,
        128,
        255,
        256,
        65535,
        65536,
        2**32 - 1,
        2**32,
        2**53 - 1,
        -1,
        -32,
        -33,
        -128,
        -129,
        -32768,
        -32769,
        -(2**31),
        -(2**31) - 1,
        -(2**53) + 1,
        1.5,
        -0.1,
        1e300,
        "",
        "é",
        "a" * 31,
        "a" * 32,
        "b" * 255,
        "b" * 256,
        "c" * 65535,
        "ñ" * 65536,
        [],
        [1] * 15,
        [1] * 16,
        [1] * 65536,
        {},
        {"a": {"b": []}},
        {f"k{i}": i for i in range(16)},
        {f"k{i}": "v" for i in range(65536)},
    ]
    code = system.path(
        "both.mjs",
        """
        import { readFileSync } from "node:fs";
        import { decode, encode } from "%s/msgpack.js";
        const values = decode(readFileSync(0));
        const again = Buffer.from(encode(values)).toString("base64");
        console.log(JSON.stringify([JSON.stringify(values), again]));
        for (let end = 0; end < 40; end++)
          try {
            const quote = { symbol: "EUR/USD", seq: 1e6, prices: [1.5, "1.0842", "a".repeat(10)] };
            decode(encode(quote).subarray(0, end));
            console.log("taken");
          } catch (error) {
            if (!(error instanceof RangeError)) throw error;
          }
    """ % PACKAGE,
    )
    done = subprocess.run(
        [shutil.which("node"), code], input=msgpack.packb(values), capture_output=True, check=True
    )
    (line,) = done.stdout.splitlines()
    read, written = json.loads(line)
    assert json.loads(read) == values
    assert msgpack.unpackb(base64.b64decode(written)) == values


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return Package(str(tmp_path_factory.mktemp("project")))


def tool(name, *arguments):
    """Run a program from npm; return what it printed."""
    done = subprocess.run(
        [os.path.join(MODULES, ".bin", name), *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_npm_package_is_complete(packed):
    with open(os.path.join(PACKAGE, "package.json"), encoding="utf-8") as f:
        package = json.load(f)
    with open(os.path.join(pregon.ROOT, "shared", "base", "version.h"), encoding="utf-8") as f:
        assert f'"{package["version"]}"' in f.read()
    assert "dependencies" not in package
    modules = ["http", "msgpack", "position", "pregon", "react"]
    assert packed.names == {
        "package.json",
        "README.md",
        "LICENSE",
        *(f"{name}.js" for name in modules),
        *(f"cjs/{name}.cjs" for name in modules),
        *("pregon.d.ts", "react.d.ts", "cjs/pregon.d.cts", "cjs/react.d.cts"),
    }


def test_publint_and_arethetypeswrong_find_no_fault_in_the_packed_package(packed):
    tool("publint", "run", "--strict", packed.path)
    tool("attw", packed.path)


@pytest.mark.parametrize("ending", ["mts", "cts"])
def test_the_types_accept_correct_programs_and_reject_wrong_ones(packed, ending):
    for name in ("types", "types-react"):
        shutil.copy(os.path.join(HERE, name + ".ts"), packed.file(f"{name}.{ending}"))
    with open(os.path.join(HERE, "tsconfig.json"), encoding="utf-8") as f:
        options = json.load(f)
    options["files"] = [f"types.{ending}", f"types-react.{ending}"]
    with open(packed.file("tsconfig.json"), "w", encoding="utf-8") as f:
        json.dump(options, f)
    tool("tsc", "--project", packed.directory)


@pytest.mark.parametrize("begin", [
    "import { connect, publish, PregonError } from 'pregon';",
    "const { connect, publish, PregonError } = require('pregon');",
])
def test_both_kinds_of_modules_publish_and_follow(system, packed, begin):
    broker, gateway = system.start(publish_token="t0ps3cret")
    kind = "cjs" if "require" in begin else "mjs"
    with open(packed.file(f"program.{kind}"), "w", encoding="utf-8") as f:
        f.write(begin + """
            const url = process.argv[2];
            const WebSocket = globalThis.WebSocket ?? process.getBuiltinModule("module")
              .createRequire(process.argv[1])("ws").WebSocket;
            publish(url, { symbol: "X", last: "1.50" }, { token: "wrong" }).catch((error) => {
              console.log(error instanceof PregonError, error.code, error.status);
              return publish(url, { symbol: "X", last: "1.50" }, { token: "t0ps3cret" });
            }).then(({ accepted }) => {
              console.log(accepted);
              const client = connect(url, { symbols: ["X"], WebSocket, onQuote({ last }) {
                console.log(last);
                client.history("X", { limit: 1 }).then(({ records }) => {
                  console.log(records.length);
                  client.close();
                });
              } });
            });
        """)
    done = subprocess.run(
        [NODE, packed.file(f"program.{kind}"), gateway.url],
        capture_output=True, text=True, timeout=pregon.PATIENCE,
    )
    assert done.stdout.split("\n") == ["true publish_unauthorized 401", "1", "1.50", "1", ""], (
        done.stdout + done.stderr
    )
