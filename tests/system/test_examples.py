"""The examples are built and run like users' programs: against an installed copy."""

import os
import re
import shlex
import subprocess
import sys

import pytest

import consumer
import pregon

EXAMPLES = os.path.join(pregon.ROOT, "consumer", "examples")
FLAGS = os.environ.get("PREGON_CFLAGS", "").split()


def run(*words, **how):
    result = subprocess.run(words, capture_output=True, text=True, **how)
    assert result.returncode == 0, f"{words}\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where `make install` has put a copy; the environment that finds it."""
    root = tmp_path_factory.mktemp("installed")
    build = os.path.dirname(pregon.BIN)
    make = shlex.split(os.environ.get("PREGON_MAKE") or f"make B={build}")
    # charts that came now would change the gateway that other tests run
    run(*make, "install", "WITH_CHARTS=no", f"DESTDIR={root}", "PREFIX=/opt/pregon",
        cwd=pregon.ROOT)
    top = os.path.join(root, "opt", "pregon")
    return top, {"PATH": os.environ["PATH"], "PKG_CONFIG_SYSROOT_DIR": str(root),
                 "PKG_CONFIG_PATH": os.path.join(top, "lib", "pkgconfig")}


def built(installed, path, source, *how):
    top, environment = installed
    words = run("pkg-config", "--cflags", "--libs", *how, "pregon", env=environment).split()
    program = path("program")
    run("gcc", "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", *FLAGS, source, "-o",
        program, *words)
    return program


def told(system, broker, command, env):
    where = {"BROKER_" + key.upper(): value for key, value in consumer.addresses(broker).items()}
    process = pregon.Process("example", "tail", {}, cwd=system.directory.name, command=command,
                             env={**env, **where})
    system.processes.append(process)
    return process.start(wait=False)


def test_the_c_example_follows_quotes_from_an_installed_library(system, installed):
    broker = system.broker()
    feed = system.feed(broker)
    feed.quote("EUR/USD", bid="1.0842", ask="1.0843")
    feed.wait_processed()
    program = built(installed, system.path, os.path.join(EXAMPLES, "follow.c"))
    library = os.path.join(installed[0], "lib")
    example = told(system, broker, [program, "EUR/USD"], {"LD_LIBRARY_PATH": library})
    example.wait_for_log(r"^EUR/USD 1\.0842 1\.0843$")
    feed.quote("EUR/USD", bid="1.0900", ask="1.09010")
    example.wait_for_log(r"^EUR/USD 1\.0900 1\.09010$")
    feed.quote("EUR/USD", last="1.08")
    example.wait_for_log(r"^EUR/USD 1\.08$")
    example.stop()


def test_links_of_the_installed_documents_lead_somewhere(installed):
    top = os.path.join(installed[0], "share", "doc", "pregon")
    for name in (
        "README.md",
        "README.es.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "docs/operations.md",
        "docs/protocol/README.md",
        "docs/protocol/stream.md",
        "docs/protocol/http.md",
        "docs/protocol/locks.md",
        "docs/protocol/wire.md",
    ):
        with open(os.path.join(top, name), encoding="utf-8") as f:
            targets = re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", f.read())
        for target in targets:
            if "://" not in target:
                assert os.path.exists(os.path.join(top, os.path.dirname(name), target)), (
                    name,
                    target,
                )


def test_the_library_shows_its_own_names_only(installed):
    lib = os.path.join(installed[0], "lib")
    for words in (["-D", "libpregon.so"], ["libpregon.a"]):
        names = run("nm", "-g", "--defined-only", *words, cwd=lib)
        names = [line.split()[-1] for line in names.splitlines() if len(line.split()) == 3]
        if not FLAGS:  # sanitizers need their own libraries
            assert [n for n in names if not n.startswith("pregon_")] == []
        assert "pregon_turn" in names
    assert "libpregon.so.0" in run("objdump", "-p", "libpregon.so", cwd=lib)


def test_the_archive_alone_will_do_and_the_header_is_c_plus_plus_too(system, installed):
    source = system.path("main.cc", """
        #include <cstdio>
        #include <pregon.h>
        struct span { int buf_add; }; // names that shared/ has too
        extern "C" void buf_add() {}
        int main()
        {
            struct pregon_options options = PREGON_OPTIONS;
            struct pregon_lock_options lock = PREGON_LOCK_OPTIONS;
            struct pregon *p;
            struct pregon_lock *l;
            buf_add();
            if (pregon_open(&options, &p) || pregon_lock_open(p, "a", &lock, &l))
                return 1;
            pregon_turn(p);
            pregon_close(&p);
            std::puts(pregon_version());
        }""")
    top, environment = installed
    program = system.path("program")
    run("g++", "-Wall", "-Wextra", "-Werror", *FLAGS, f"-I{top}/include", source, "-o", program,
        f"{top}/lib/libpregon.a", "-lzmq", "-lpthread")
    assert run(program).strip() == run("pkg-config", "--modversion", "pregon",
                                       env=environment).strip()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_python_example_misses_no_quote(system, end):
    broker = system.broker(store=f"sqlite:{system.path('pregon.db')}")
    feed = system.feed(broker)
    feed.quote("X", bid="0", ask="999")
    feed.wait_processed()
    proxy = system.proxy(broker.settings["broker_publish"])
    example = pregon.Process(
        "example", "tail", {}, cwd=system.directory.name,
        command=[sys.executable, os.path.join(EXAMPLES, "follow.py"), "X"],
        env={"BROKER_PUBLISH": proxy.address,
             "BROKER_CONTROL": broker.settings["broker_control"]})
    system.processes.append(example)
    example.start(wait=False)
    example.wait_for_log(r"^X \d+ 0 999$")
    for n in range(1, 301):
        feed.quote("X", bid=str(n), ask="999")
        feed.quote("XX", bid=str(n), ask="999")
        if n == 100:
            feed.wait_processed()
            getattr(broker, end)()
            broker.start()
        if n % 90 == 0:
            proxy.cut()
    example.wait_for_log(r"^X \d+ 300 999$")
    assert [line.split()[2] for line in example.log("out")] == [str(n) for n in range(301)]
    example.kill()


def test_the_python_example_begins_anew_in_a_new_log(system):
    broker = system.broker(store="memory")
    feed = system.feed(broker)
    example = told(system, broker, [sys.executable, os.path.join(EXAMPLES, "follow.py"), "B*"], {})
    for n in (1, 2):
        feed.quote("BTC/USD", last=str(n))
        feed.quote("A", last="1")
        feed.wait_processed()
        example.wait_for_log(rf"^BTC/USD \d+ {n}$")
        broker.kill()
        broker.start()
    feed.quote("BTC/USD", last="1", bid="3")
    example.wait_for_log(r"^BTC/USD \d+ 3$")
    example.kill()


@pytest.mark.parametrize("language", ["c", "python"])
def test_an_example_without_arguments_prints_its_usage(system, installed, language):
    source = os.path.join(EXAMPLES, "follow." + {"c": "c", "python": "py"}[language])
    command = ([sys.executable, source] if language == "python" else
               [built(installed, system.path, source)])
    env = {**os.environ, "LD_LIBRARY_PATH": os.path.join(installed[0], "lib")}
    result = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert result.returncode and "usage: follow" in result.stderr, result
