"""The npm package of pregon.js: its msgpack, its types, and its requirements."""

import base64
import json
import os
import shutil
import subprocess

import msgpack

import pregon
from node import HERE, MODULES, PACKAGE


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


def test_the_npm_package_is_complete_and_typed(system):
    with open(os.path.join(PACKAGE, "package.json"), encoding="utf-8") as f:
        package = json.load(f)
    with open(os.path.join(pregon.ROOT, "shared", "base", "version.h"), encoding="utf-8") as f:
        assert f'"{package["version"]}"' in f.read()
    assert "dependencies" not in package
    packed = json.loads(
        subprocess.run(
            ["npm", "pack", "--dry-run", "--json"],
            cwd=PACKAGE,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    packed = packed[0] if isinstance(packed, list) else packed[package["name"]]
    names = {f["path"] for f in packed["files"]}
    assert names == {
        "package.json",
        "README.md",
        "pregon.js",
        "msgpack.js",
        "position.js",
        "pregon.d.ts",
    }
    tsc = os.path.join(MODULES, ".bin", "tsc")
    done = subprocess.run([tsc, "--project", HERE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
