"""pregon-doctor names every mistake that is planted, and nothing else."""

import os
import re
import socket
import threading
import time

import msgpack
import pytest
import zmq

import pregon
from doctor_setup import (
    IN_BETWEEN,
    LISTED,
    PAGE,
    Setup,
    examine,
    healthy,
    well,
)  # noqa: F401 (fixtures)
from fake_broker import FakeBroker
from meddler import Meddler

ENDPOINTS = ("broker_ingest", "broker_publish", "broker_control")


def test_a_healthy_set_up_has_no_findings_and_every_origin_gets_what_it_should(well):
    report = well.examine()
    assert report.names() == [] and report.code == 0, report.text
    shaken = {h["origin"]: h["code"] for h in report.json["handshakes"]}
    assert shaken == {
        PAGE: "admitted",
        "https://doctor.wild.example": "admitted",
        "http://localhost:8080": "admitted",
        "https://foreign.invalid": "origin_not_allowed",
    }
    assert all(h["expected"] for h in report.json["handshakes"])


def test_a_proxy_that_does_its_work_is_no_finding(well):
    report = well.examine(PUBLIC_URL=Meddler(well.system, well.gateway).url)
    assert report.names() == [] and report.code == 0, report.text
    assert ("public_url", PAGE, True) in {
        (h["through"], h["origin"], h["admitted"]) for h in report.json["handshakes"]
    }


def test_a_preflight_that_pages_of_a_listed_origin_need_is_tried(system):
    setup = healthy(system, cors_allow_headers="Authorization,X-Token", cors_allow_methods="GET")
    report = setup.examine()
    notes = {f["where"].split("(")[-1]: f["seen"] for f in report.findings}
    assert report.names() == ["preflight_refused"] and report.code == 0, report.text
    assert "'x-requested-with'" in notes["CORS_ALLOW_HEADERS)"]
    assert "PUT" in notes["CORS_ALLOW_METHODS)"] or "HEAD" in notes["CORS_ALLOW_METHODS)"]
    report = setup.examine(CORS_ALLOW_HEADERS="", CORS_ALLOW_METHODS="")
    assert report.names() == ["settings_not_in_force"], report.text


def test_a_gateway_without_a_proxy_may_be_the_public_url(well):
    assert well.examine(PUBLIC_URL=well.gateway.url).names() == []


def test_the_report_for_people_names_the_line_to_change(well):
    path = well.env_file()
    with open(path, encoding="utf-8") as f:
        number = 1 + [line.split("=")[0] for line in f].index("CORS_ORIGINS")
    report = well.examine("--origin=https://my.page", as_json=False)
    assert report.code == 1
    assert f"origin_not_allowed  at {path}:{number} (CORS_ORIGINS)" in report.text
    assert f".env:   CORS_ORIGINS={LISTED},https://my.page\n" in report.text
    assert "refuses https://foreign.invalid: HTTP 403 origin_not_allowed\n" in report.text
    assert (
        "refuses https://my.page: HTTP 403 origin_not_allowed, which is not as it should be\n"
        in report.text
    )
    assert "1 error, 0 warnings" in report.text


IN_FILE = [
    # the mistakes in the set-up, and the names of the findings
    ({"lines": ["WEBSOCKT_TIMEOUT=60"]}, ["setting_misspelt"]),
    ({"lines": ["cors_origins=https://my.page"]}, ["setting_misspelt"]),
    ({"lines": ["RETENTION_AGE=1d"]}, ["setting_impossible"]),
    ({"lines": ["STORAGE", "X=1"]}, ["env_file_unreadable"]),
    ({"STORE": "postgres:here"}, ["setting_impossible", "store_in_memory"]),
    ({"lines": ["CORS_ALLOW_METHODS=GET,P OST"]}, ["setting_impossible"]),
    ({"lines": ["HEARTBEAT=6", "HEARTBEAT=7"]}, ["setting_twice"]),
    ({"CORS_ORIGINS": "*", "CORS_ALLOW_CREDENTIALS": 1}, ["origin_star_with_credentials"]),
    ({"CORS_ORIGINS": "https://page.example/app"}, ["origin_malformed"]),
    ({"CORS_ORIGINS": "page.example"}, ["origin_malformed"]),
    ({"lines": ["WS_PING_INTERVAL=45"]}, ["ping_after_timeout"]),
    (
        {"lines": ["FORWARDED_ALLOW_IPS=*"], "HOST": "0.0.0.0"},
        ["gateway_not_running", "trusts_everybody"],
    ),
    ({"lines": ["LOCKS_TOKEN=secret"], "mode": 0o644}, ["secrets_readable"]),
    ({"lines": ["SOURCE=csv:nowhere.csv?speed=60"]}, ["source_missing"]),
    ({"lines": ["TELEGRAM_TOKEN=abc"]}, ["telegram_nobody_on_duty", "telegram_token_malformed"]),
    ({"lines": ["TELEGRAM_TOKEN=123:abc"]}, ["telegram_nobody_on_duty"]),
    ({"HOST": "192.0.2.1"}, ["host_not_here"]),
    ({"WEBSOCKET_MAX_CONNECTIONS": 7}, ["settings_not_in_force"]),
    ({"WEBSOCKET_TIMEOUT": 31}, ["settings_not_in_force"]),
    ({"CORS_ORIGINS": "https://new.page"}, ["settings_not_in_force"]),
    ({"STORE": "memory"}, []),
    ({"lines": ["DISK_FREE_MIN=1000000000000000000"]}, ["disk_low"]),
    ({"lines": ["SOMEBODY_ELSES=1", "IMAGE_TAG=latest"]}, []),
]


@pytest.mark.parametrize("planted,found", IN_FILE, ids=[str(p) for p, _ in IN_FILE])
def test_a_mistake_in_the_file_is_named(well, planted, found):
    report = well.examine("--patience=2", **planted)
    wanted = set(found)
    if planted.get("HOST") == "0.0.0.0":
        # A gateway on 127.0.0.1 is found at this address too, because it stands for all addresses.
        wanted.discard("gateway_not_running")
    assert set(report.names()) - {"store_in_memory"} == wanted - {"store_in_memory"}, report.text
    assert report.code == (1 if wanted else 0)


def test_a_misspelt_name_is_reported_with_its_line_and_the_right_one(well):
    finding = well.examine(lines=["WEBSOCKT_TIMEOUT=60"]).one("setting_misspelt")
    assert (
        re.search(r"some\.env:\d+$", finding["where"])
        and finding["change"] == "WEBSOCKET_TIMEOUT=…"
    )
    assert "did you mean WEBSOCKET_TIMEOUT" in finding["seen"]


def test_the_doctor_reports_settings_that_the_environment_overrules(well):
    report = well.examine(env={"WEBSOCKET_TIMEOUT": "30"}, WEBSOCKET_TIMEOUT=45)
    assert report.names() == ["setting_overridden"]
    assert "45" in report.one("setting_overridden")["seen"]


def test_two_mistakes_at_once_are_both_named(well):
    report = well.examine(
        "--origin=https://my.page",
        lines=["WEBSOCKT_TIMEOUT=1", "HTTP_THREADS=many"],
        CORS_ALLOW_CREDENTIALS=1,
        CORS_ORIGINS="*",
    )
    assert {"origin_star_with_credentials", "setting_impossible", "setting_misspelt"} <= set(
        report.names()
    )


def test_a_wrong_value_of_the_environment_is_not_to_be_mended_in_the_file_that_it_overrules(well):
    report = well.examine(env={"HOST": "x86_64-conda-linux-gnu"}, as_json=False)
    (said,) = [part for part in report.text.split("\n\n") if "setting_impossible" in part]
    assert "at the environment (HOST)" in said and "x86_64-conda-linux-gnu" in said
    assert "unset it" in said and ".env:" not in said


def test_a_secret_is_never_shown(well):
    report = well.examine(lines=["WEBSOCKET_TOKEN=" + "geheim" * 60], mode=0o644)
    assert {"setting_impossible", "secrets_readable"} <= set(report.names())
    assert "geheim" not in report.text


def test_a_file_that_is_not_there_is_a_finding_if_it_was_named_and_none_if_not(system):
    report = examine("--env-file=/nowhere/.env", cwd=system.directory.name)
    assert "env_file_unreadable" in report.names()
    assert "env_file_unreadable" not in examine(cwd=system.directory.name).names()


def nothing_runs(system, **changes):
    settings = {name.upper(): pregon.free_address() for name in ENDPOINTS}
    settings["PORT"] = pregon.free_address().rsplit(":", 1)[1]
    setup = Setup(system, None, None)
    setup.settings.update(settings)
    return setup.examine(**changes)


def test_the_doctor_reports_programs_that_do_not_run(system):
    report = nothing_runs(system)
    assert report.names() == ["broker_not_running", "gateway_not_running"] and report.code == 1


def test_a_folder_of_the_store_that_is_missing_is_named(system):
    report = nothing_runs(system, STORE="sqlite:/nowhere/log.db")
    assert report.names() == ["broker_not_running", "gateway_not_running", "store_folder_missing"]


def test_ports_that_are_named_twice_are_named(system):
    address = pregon.free_address()
    report = nothing_runs(system, BROKER_PUBLISH=address, BROKER_CONTROL=address)
    assert "ports_collide" in report.names()


@pytest.mark.parametrize("setting", ["PORT", "BROKER_CONTROL", "BROKER_INGEST"])
def test_the_process_that_holds_a_port_is_named_with_its_pid(well, setting):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        report = well.examine(**{setting: port if setting == "PORT" else f"tcp://127.0.0.1:{port}"})
        seen = report.one("port_taken")["seen"]
    with open("/proc/self/comm", encoding="ascii") as f:
        assert f"pid {os.getpid()} ({f.read().strip()})" in seen
    assert report.names() == ["port_taken"]


def privileged():
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as f:
        return int(f.read()) - 1


@pytest.mark.skipif(not 0 < privileged() < 1024, reason="every user may take every port here")
def test_a_port_that_this_user_may_not_have_is_named():
    nobody = 65534 if os.geteuid() == 0 else None
    try:
        report = examine(
            "--env-file=/dev/null", env={"PORT": str(privileged())}, cwd="/", user=nobody
        )
    except PermissionError:
        pytest.skip("nobody may not run what is built here")
    assert "port_privileged" in report.names() and "gateway_not_running" not in report.names()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has processes that others may not see")
def test_a_port_that_another_user_holds_is_reported_with_that_user():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        env = {"PORT": str(holder.getsockname()[1])}
        try:
            report = examine("--env-file=/dev/null", "--patience=2", env=env, cwd="/", user=65534)
        except PermissionError:
            pytest.skip("nobody may not run what is built here")
    assert "a process of user 0" in report.one("gateway_silent")["seen"]


def test_the_doctor_compares_descriptors_with_the_settings(system):
    setup = healthy(system, descriptors=256, websocket_max_connections=1000)
    report = setup.examine()
    assert report.names() == ["descriptors_too_few"]
    assert "256" in report.one("descriptors_too_few")["seen"]


def test_a_gateway_that_never_reached_its_broker_is_named(system):
    broker = system.broker(store="sqlite:" + system.path("log.db"))
    system.feed(broker).wait_processed(system.peers[-1].quote("X", last="1"))
    gateway = system.gateway(cors_origins=LISTED)
    setup = Setup(system, broker, gateway)
    setup.settings.update({k.upper(): broker.settings[k] for k in ENDPOINTS})
    assert setup.examine().names() == ["gateway_without_broker", "starting"]


def test_a_gateway_of_another_broker_is_named(system):
    setup = healthy(system)
    other = system.broker(store="sqlite:" + system.path("other.db"))
    system.feed(other).wait_processed(system.peers[-1].quote("X", last="1"))
    assert setup.examine(**{k.upper(): other.settings[k] for k in ENDPOINTS}).names() == [
        "another_broker"
    ]


def test_a_wrong_address_of_the_publish_socket_is_named(well):
    report = well.examine("--patience=2", BROKER_PUBLISH=pregon.free_address())
    assert report.names() == ["publish_silent"]


def test_a_control_address_where_something_else_answers_is_named(well):
    report = well.examine("--patience=2", BROKER_CONTROL=well.broker.ready["publish"])
    assert set(report.names()) >= {"broker_silent", "ports_collide"}


def test_a_broker_without_a_feeder_is_named(system):
    assert healthy(system, feed=False).examine().names() == ["feed_none"]


def feeds(setup):
    return {f["name"]: f["status"] for f in setup.gateway.page("health")["feeds"]}


def test_feeds_that_are_silent_ended_empty_or_wrong_are_named_each(system):
    setup = healthy(system)
    system.feed(setup.broker, "empty")
    wrong = system.feed(setup.broker, "wrong")
    wrong.wait_processed(wrong.quote("X", bid="2", ask="1"))
    gone = system.feed(setup.broker, "gone")
    gone.wait_processed(gone.quote("Y", last="1"))
    gone.goodbye()
    silent = system.feed(setup.broker, "silent")
    silent.wait_processed(silent.quote("Z", last="1"))
    silent.fall_silent()
    pregon.eventually(
        lambda: feeds(setup), lambda f: f["silent"] == "silent" and f["gone"] == "ended"
    )
    report = setup.examine()
    assert report.names() == ["feed_empty", "feed_ended", "feed_silent", "quotes_refused"]
    assert "feed silent" in report.one("feed_silent")["where"]


def test_a_feed_that_sent_before_its_broker_started_again_is_not_called_empty(system):
    setup = healthy(system)
    setup.broker.kill()
    setup.broker.start()
    health = pregon.eventually(
        lambda: setup.gateway.get("/cotizaciones/health").json(),
        lambda h: [f["status"] for f in h["feeds"]] == ["live"])
    assert health["reason"] == "feeds are live, but no quote was accepted since the broker started"
    report = setup.examine()
    assert report.names() == [] and "pid 0" not in report.text, report.text
    quote = system.peers[0].quote("EUR/USD", bid="1", ask="2")
    system.peers[0].wait_processed(quote)
    assert setup.gateway.page("health")["reason"] == "quotes flow"


def test_a_bot_on_active_is_no_finding(well):
    locker = well.system.locker(well.broker, "bot")
    locker.acquire("telegram-bot", ttl_ms=600000)
    assert well.examine(lines=["TELEGRAM_TOKEN=123:abc"]).names() == []
    locker.release("telegram-bot")


def test_a_log_in_memory_is_a_note_and_no_fault(system):
    broker, gateway = system.start(cors_origins=LISTED)
    system.feed(broker).wait_processed(system.peers[-1].quote("X", last="1"))
    setup = Setup(system, broker, gateway)
    report = setup.examine()
    assert report.names() == ["store_in_memory"] and report.code == 0
    assert setup.examine(STORE="sqlite:" + system.path("x.db")).names() == ["settings_not_in_force"]


def test_a_gateway_whose_clock_is_wrong_is_named(well):
    late = Meddler(well.system, well.gateway, shift=-3600, forwards=False)
    report = well.examine(GATEWAY_URL=late.url)
    assert report.names() == ["clock_skew"]
    assert re.search(r"(3600\.\d|3599\.\d) s behind", report.one("clock_skew")["seen"])


def test_a_broker_whose_clock_is_wrong_is_named(well):
    address = "ipc://" + well.system.path("publish")
    has_ended = threading.Event()
    publisher = well.system.context.socket(zmq.PUB)
    publisher.linger = 0
    publisher.bind(address)

    def beat():
        number = 0
        while not has_ended.wait(0.05):
            number += 1
            then = int((time.time() + 7200) * 1e6)
            publisher.send_multipart([b"!heartbeat ", msgpack.packb(
                [4, 1, 0, number, 0, then, {"changed": [], "complete": True}])])
        publisher.close()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        report = well.examine(BROKER_PUBLISH=address)
    finally:
        has_ended.set()
        thread.join()
    assert report.names() == ["clock_skew"] and "ahead of" in report.one("clock_skew")["seen"]


def status_of(feeds=(), **members):
    return {
        "version": "0.1.0",
        "feeds": list(feeds),
        "store": {"kind": "sqlite", "durable": True},
        **members,
    }


FEED = {
    "name": "f",
    "host": "there",
    "pid": 1,
    "live": True,
    "left": False,
    "silent_ms": 1,
    "accepted": 9,
    "refused": 0,
    "lost": 0,
}
TOLD = [
    ({}, []),
    ({"store": {"kind": "sqlite", "durable": False, "reason": "disk full"}}, ["store_not_durable"]),
    (
        {"store": {"kind": "sqlite", "durable": True, "damage": "page 7 is damaged"}},
        ["store_damaged"],
    ),
    ({"store": {"kind": "sqlite", "durable": True, "behind_us": 60000000}}, ["store_behind"]),
    ({"feeds": [{**FEED, "lost": 5}]}, ["lines_lost"]),
    ({"version": "0.0.1"}, ["versions_differ"]),
    ({"store": 7, "feeds": "x"}, []),
]


@pytest.mark.parametrize("told,found", TOLD, ids=[str(f) + str(i) for i, (_, f) in enumerate(TOLD)])
def test_faults_in_a_brokers_answers_are_reported(system, well, told, found):
    epoch = int(well.gateway.page("health")["broker"]["epoch"], 16)
    fake = FakeBroker(system, epoch=epoch)
    control, publish = (f"ipc://{system.path(name)}" for name in ("control", "publish"))
    with fake.changed:
        fake.answers["status"] = lambda q: {**status_of([FEED]), "epoch": epoch, **told}
        fake.control.bind(control)
        fake.publisher.bind(publish)
    assert well.examine(BROKER_CONTROL=control, BROKER_PUBLISH=publish).names() == found


@pytest.mark.parametrize(
    "flags", [["--no-such-flag"], ["--public-url=ws://x"], ["--gateway-url=x"], ["--patience=0"]]
)
def test_wrong_usage_is_exit_code_2(flags):
    report = examine(*flags, "--env-file=/dev/null")
    assert report.code == 2 and report.stderr


def listed():
    return [line.split()[0] for line in examine("--list", as_json=False).text.splitlines()]


def test_the_list_names_everything_that_can_be_found_once(well):
    names = listed()
    assert len(names) == len(set(names)) > 50
    for _, found in IN_FILE + IN_BETWEEN:
        assert set(found) <= set(names)


@pytest.mark.parametrize("name", ["troubleshooting.md", "troubleshooting.es.md"])
def test_everything_that_can_be_found_stands_in_the_manual(name):
    with open(os.path.join(pregon.ROOT, "docs", name), encoding="utf-8") as f:
        text = f.read()
    assert [n for n in listed() if f"`{n}`" not in text] == []
    with open(os.path.join(pregon.ROOT, "docs", "protocol", "stream.md"), encoding="utf-8") as f:
        section = f.read().split("## Refused handshakes")[1].split("\n### ")[0]
    codes = re.findall(r"^\| `([a-z_]+)` \| \d", section, re.M)
    assert len(codes) > 10 and [c for c in codes if f"`{c}`" not in text] == []


def test_an_address_with_a_secret_in_it_is_refused_without_showing_it(system):
    for url in ("https://quotes.example/?token=t0ps3cret", "nonsense?%54OKEN=t0ps3cret"):
        one = system.process("doctor", {}, wait=False, env={"PUBLIC_URL": url})
        one.wait_for_log("^PUBLIC_URL=.*=\\*\\*\\*: must be http")
        one.wait_for_exit(2)
        assert not one.logged("t0ps3cret")
