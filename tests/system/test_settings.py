"""Settings: their origins, the errors of wrong values, and reloads while running."""

import glob
import os
import re
import signal
import socket
import subprocess

import pytest

import pregon

PROGRAMS = ("broker", "gateway", "feeder")
OURS, OTHER = "https://app.example", "https://other.example"


def run(system, program, *flags, env=None, dotenv=None):
    """Run a program that ends by itself; returns (exit code, output, errors)."""
    if dotenv is not None:
        system.path(".env", dotenv)
    done = subprocess.run(
        [os.path.join(pregon.BIN, "pregon-" + program), *flags],
        cwd=system.directory.name, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=pregon.PATIENCE * 2, env={**pregon.plain_environment(), **(env or {})})
    return done.returncode, done.stdout, done.stderr


def test_a_flag_counts_over_the_environment_over_the_env_file_over_the_default(system):
    broker = system.broker()

    def limit(**how):
        gateway = system.gateway(broker, **how)
        told = gateway.page("health")["gateway"]["max_connections"]
        gateway.stop()
        return told

    name = "WEBSOCKET_MAX_CONNECTIONS"
    assert limit() == 100
    system.path(".env", f"# a comment\n\nOTHER_PROGRAMS_SETTING=x\nexport {name}='11'\n")
    assert limit() == 11
    assert limit(env={name: "12"}) == 12
    assert limit(env={name: "12"}, websocket_max_connections=13) == 13
    assert limit(env={name: "12"}, flags=["--websocket-max-connections", "14"]) == 14
    system.path("mine.env", f"{name}=15\n")
    assert limit(flags=["--env-file", "mine.env"]) == 15
    assert limit(flags=["--env-file=mine.env"], env={name: "16"}) == 16


def test_a_name_in_the_env_file_that_is_nearly_ours_is_warned_of_with_its_line(system):
    system.path(".env", "OTHER_PROGRAMS_SETTING=x\nWEBSOCKT_TOKEN=s3cret\n"
                "CORS_ALLOWED_ORIGINS=x\nOTHER_PROGRAMS_LOG_LEVEL=x\n")
    gateway = system.gateway(system.broker())
    gateway.wait_for_log(
        r"\.env:3: CORS_ALLOWED_ORIGINS is no setting of ours: did you mean CORS_ORIGINS\?$"
    )
    gateway.wait_for_log(
        r"^WARNING: +\.env:2: WEBSOCKT_TOKEN is no setting of ours: did you mean WEBSOCKET_TOKEN\?$"
    )
    here = gateway.log_position()
    system.path(".env", "\n\nheartbeat=1\n")
    gateway.signal(signal.SIGHUP)
    gateway.wait_for_log(
        r"^WARNING: +\.env:3: heartbeat is no setting of ours: did you mean HEARTBEAT\?$",
        after=here,
    )
    gateway.wait_for_log("settings reloaded", after=here)
    assert not gateway.logged("OTHER_PROGRAMS|s3cret")


def test_without_a_broker_gateway_and_feeder_log_the_addresses_they_try(system):
    broker = system.broker()
    ingest, publish, control = (
        re.escape(broker.ready[k]) for k in ("ingest", "publish", "control")
    )
    broker.stop()
    gateway = system.gateway(broker)
    feeder = system.feeder(broker, "sim:1", wait=False)
    gateway.wait_for_log(
        rf"^WARNING: +no broker at {publish} and {control} yet: is pregon-broker running\?$"
    )
    feeder.wait_for_log(
        rf"^WARNING: +no broker at {ingest} and {control} yet: is pregon-broker running\?$")
    broker.start()
    gateway.wait_for_log("The broker is here")
    feeder.wait_ready()


def test_a_flag_may_be_given_alone_or_with_no(system):
    broker = system.broker()
    for flags, enabled in ((["--no-websocket-enabled"], False), (["--websocket-enabled"], True),
                           (["--websocket-enabled=off"], False)):
        gateway = system.gateway(broker, flags=flags)
        assert gateway.status()["websocket_enabled"] is enabled


BAD = [
    # program, name, value, the permitted values in the error
    ("gateway", "WEBSOCKET_MAX_CONNECTIONS", "many", "0 to 1000000"),
    ("gateway", "WEBSOCKET_MAX_CONNECTIONS", "-1", "0 to 1000000"),
    ("gateway", "WEBSOCKET_MAX_CONNECTIONS", "1000001", "0 to 1000000"),
    ("gateway", "WEBSOCKET_MAX_CONNECTIONS", "", "0 to 1000000"),
    ("gateway", "WEBSOCKET_MAX_CONNECTIONS", "10 ", "0 to 1000000"),
    ("gateway", "WEBSOCKET_MAX_CONNECTIONS", "1e3", "0 to 1000000"),
    ("gateway", "WEBSOCKET_TIMEOUT", "0", "1 to 86400"),
    ("gateway", "WEBSOCKET_TIMEOUT", "30s", "1 to 86400"),
    ("gateway", "WEBSOCKET_TIMEOUT", "1.2345", "1 to 86400"),
    ("gateway", "WEBSOCKET_ENABLED", "maybe", "0"),
    ("gateway", "PORT", "65536", "0 to 65535"),
    ("gateway", "LOG_LEVEL", "loud", "critical"),
    ("gateway", "LOG_FORMAT", "xml", "json"),
    ("gateway", "CORS_ORIGINS", "app.example", "https://"),
    ("gateway", "CORS_ORIGINS", "https://a.example/path", "https://"),
    ("gateway", "CORS_ORIGINS", '["https://a.example"', "JSON"),
    ("gateway", "CORS_ORIGINS", "https://*.*.example", "*"),
    ("gateway", "CORS_ALLOW_METHODS", "GET POST", "names"),
    ("gateway", "FORWARDED_ALLOW_IPS", "10.0.0.0/33", "10.0.0.0/8"),
    ("gateway", "FORWARDED_ALLOW_IPS", "localhost", "10.0.0.0/8"),
    ("gateway", "WS_MAX_SIZE", "1", "125 to 16777216"),
    ("broker", "BROKER_INGEST", "nowhere", "tcp://"),
    ("gateway", "BROKER_PUBLISH", "nowhere", "tcp://"),
    ("feeder", "BROKER_CONTROL", "nowhere", "tcp://"),
    ("broker", "STORE", "mem", "sqlite:data/pregon.db"),
    ("broker", "STORE", "sqlite:", "sqlite:data/pregon.db"),
    ("broker", "STORE", "sqlite3:pregon.db", "memory"),
    ("broker", "JOURNAL_BYTES", "1", "1048576 to 17179869184"),
    ("broker", "MAX_FUTURE", "-1", "0 to 86400"),
    ("broker", "LOG_LEVEL", "INFO!", "info"),
    ("feeder", "RING", "1", "16 to 16777216"),
    ("feeder", "FEED", "a b", "1 to 64 of A-Z"),
    ("feeder", "TIMESTAMPS", "later", "now"),
    ("feeder", "SPEED", "fast", "0 to 1000000000"),
]


@pytest.mark.parametrize("source", ["flag", "environment", ".env"])
@pytest.mark.parametrize("program, name, value, allowed", BAD, ids=lambda v: v[:24])
def test_a_bad_value_stops_the_program_with_name_value_and_what_is_allowed(
        system, program, name, value, allowed, source):
    free = {"PORT": "0"} if name != "PORT" else {}
    how = {"env": free}
    flags = ["--source=sim:1"] if program == "feeder" else []
    if source == "flag":
        flags.append(f"--{name.lower().replace('_', '-')}={value}")
    elif source == "environment":
        how["env"] = {**free, name: value}
    else:
        how["dotenv"] = f"{name}='{value}'\n"
    code, out, err = run(system, program, *flags, **how)
    assert code == 2, err
    assert out == ""
    said = err.lower().replace('\\"', '"')
    assert name.lower() in said or name.lower().replace("_", "-") in said, err
    assert value.lower() in said, err
    assert allowed.lower() in said, err


@pytest.mark.parametrize("source, message", [
    ("", "SOURCE is empty: want csv:FILE, ndjson:FILE, - or sim:N"),
    ("nothing:1", "want csv:FILE, ndjson:FILE, - or sim:N"),
    ("-,-", "standard input can be read once only"),
    (",".join(["sim:1"] * 65), "SOURCE: more than 64"),
    ('["sim:1"', "JSON list"),
], ids=lambda v: v[:12])
def test_a_wrong_list_of_sources_stops_the_feeder_and_says_what_is_allowed(system, source, message):
    code, out, err = run(system, "feeder", f"--source={source}")
    assert code == 2, err
    assert out == ""
    assert message in err


@pytest.fixture
def taken():
    """A port on which a program listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        yield s.getsockname()[1]


def complaints(err):
    return [line for line in err.splitlines() if not line.startswith("INFO")]


def test_a_taken_port_of_the_gateway_is_named_once_with_what_to_do(system, taken):
    code, out, err = run(system, "gateway", f"--port={taken}")
    assert (code, out) == (2, "")
    assert complaints(err) == [f"CRITICAL: another program listens on 127.0.0.1:{taken}: "
                               "end it, or set PORT"]


@pytest.mark.parametrize("name", ["BROKER_INGEST", "BROKER_PUBLISH", "BROKER_CONTROL"])
def test_a_taken_port_of_the_broker_is_named_once_with_what_to_do(system, taken, name):
    address = f"tcp://127.0.0.1:{taken}"
    free = {
        key: "tcp://127.0.0.1:0" for key in ("BROKER_INGEST", "BROKER_PUBLISH", "BROKER_CONTROL")
    }
    code, out, err = run(system, "broker", env={**free, name: address})
    assert (code, out) == (2, "")
    assert complaints(err) == [f"CRITICAL: another program listens on {address}: "
                               f"end it, or set {name}"]


@pytest.mark.parametrize("address", [
    "tcp://192.0.2.1:0", "tcp://nowhere.invalid:0", "tcp://[::1]:0", "tcp://eth99:0"])
def test_an_address_that_the_broker_s_machine_does_not_have_is_reported_to_be_missing(
    system, address
):
    free = {
        key: "tcp://127.0.0.1:0" for key in ("BROKER_INGEST", "BROKER_PUBLISH", "BROKER_CONTROL")
    }
    code, out, err = run(system, "broker", env={**free, "BROKER_CONTROL": address})
    assert (code, out) == (2, "")
    assert complaints(err) == [
        f"CRITICAL: BROKER_CONTROL: cannot listen on {address}: this machine has no such address; "
        "name one of its IPv4 addresses, or 0.0.0.0 for all"]


def test_two_sockets_of_the_broker_at_one_address_are_both_named(system, taken):
    same = f"tcp://127.0.0.1:{taken}"
    code, out, err = run(system, "broker", env={
        "BROKER_INGEST": same, "BROKER_PUBLISH": "tcp://127.0.0.1:0", "BROKER_CONTROL": same})
    assert (code, out) == (2, "")
    assert complaints(err) == [f"CRITICAL: BROKER_INGEST and BROKER_CONTROL are both {same}: "
                               "give each a port of its own"]


def test_an_address_that_is_not_ours_is_named_once(system):
    code, _, err = run(system, "gateway", "--host=192.0.2.1", "--port=0")
    assert code == 2
    assert complaints(err) == ["CRITICAL: HOST, PORT: cannot listen on 192.0.2.1:0: "
                               "Cannot assign requested address"]


def test_a_store_that_another_broker_writes_stops_the_second_with_exit_code_2(system):
    broker = system.broker(store="sqlite:" + system.path("pregon.db"))
    code, out, err = run(system, "broker", "--store=" + broker.settings["store"],
                         env={key: "tcp://127.0.0.1:0" for key in
                              ("BROKER_INGEST", "BROKER_PUBLISH", "BROKER_CONTROL")})
    assert (code, out) == (2, "")
    assert len(complaints(err)) == 1 and "another broker" in err, err


def test_star_together_with_credentials_is_refused_at_the_start(system):
    code, _, err = run(system, "gateway", "--port=0", "--cors-origins=*",
                       "--cors-allow-credentials")
    assert code == 2
    assert "CORS_ALLOW_CREDENTIALS" in err and "CORS_ORIGINS" in err and "'*'" in err


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_unknown_flag_is_wrong_usage(system, program):
    for wrong in (["--no-such-flag"], ["--no-such-flag=1"], ["word"], ["--log-level"], ["-x"],
                  ["--env-file=missing.env"], ["--env-file"]):
        code, out, err = run(system, program, *wrong)
        assert (code, out) == (2, ""), wrong
        assert wrong[0].split("=")[0].lstrip("-") in err or "missing.env" in err, err


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_lists_every_setting_with_its_default(system, program):
    code, out, err = run(system, program, "--help")
    assert (code, err) == (0, "")
    (header,) = glob.glob(
        os.path.join(pregon.ROOT, program, "**", f"{program}_config.h"), recursive=True
    )
    with open(header, encoding="utf-8") as f:
        names = re.findall(r"^\s*X\((\w+), ([A-Z_]+),", f.read(), re.M)
    assert len(names) > 5
    for kind, name in names + [("choice", "LOG_LEVEL"), ("choice", "LOG_FORMAT")]:
        flag = "--" + name.lower().replace("_", "-")
        if kind == "secret":
            assert flag not in out and f"  {name} in the environment; no flag" in out
        else:
            assert flag in out, name
        assert name in out
    assert "--env-file" in out and "--version" in out and "--help" in out
    assert max(map(len, out.splitlines())) <= 120
    code, out, _ = run(system, program, "--version")
    assert code == 0 and re.fullmatch(rf"pregon-{program} \d+\.\d+\.\d+\n", out)


def test_an_address_that_is_taken_stops_the_program_and_is_named(system):
    broker = system.broker()
    gateway = system.gateway(broker)
    code, _, err = run(system, "gateway", f"--port={gateway.port}")
    assert code in (1, 2)
    assert str(gateway.port) in err and "PORT" in err
    code, _, err = run(system, "broker", "--broker-ingest=tcp://127.0.0.1:0",
                       "--broker-publish=tcp://127.0.0.1:0",
                       f"--broker-control={broker.ready['control']}")
    assert code in (1, 2)
    assert broker.ready["control"] in err


# --- reloading --------------------------------------------------------------------------


def reload(gateway, says):
    here = gateway.log_position()
    gateway.signal(signal.SIGHUP)
    return gateway.wait_for_log(says, after=here)[0]


def allowed(system, gateway, origin):
    answer = system.handshake(gateway, headers={"Origin": origin})
    page = gateway.get("/cotizaciones/live", headers={"Origin": origin})
    assert (answer.status == 101) == ("Access-Control-Allow-Origin" in page.headers)
    return answer.status == 101


def test_sighup_reads_settings_anew_and_keeps_every_connection(system):
    broker = system.broker()
    system.path(".env", f"CORS_ORIGINS={OURS}\n")
    gateway = system.gateway(broker)
    client = system.client(gateway, "?symbols=X")
    client.receive("ack")
    assert allowed(system, gateway, OURS) and not allowed(system, gateway, OTHER)

    system.path(".env", f"CORS_ORIGINS={OTHER}\nWEBSOCKET_MAX_CONNECTIONS=5\nLOG_LEVEL=warning\n")
    reload(gateway, "SIGHUP: settings reloaded|origins may connect")
    pregon.eventually(lambda: allowed(system, gateway, OTHER))
    assert not allowed(system, gateway, OURS)
    assert gateway.page("health")["gateway"]["max_connections"] == 5
    assert client.request("ping")["type"] == "ack"

    system.path(".env", f"CORS_ORIGINS={OTHER}\nWEBSOCKET_ENABLED=0\n")
    gateway.signal(signal.SIGHUP)
    refused = pregon.eventually(lambda: system.handshake(gateway), lambda a: a.status != 101)
    assert refused.code == "websocket_disabled"
    assert gateway.status()["websocket_enabled"] is False
    assert client.request("ping")["type"] == "ack"

    system.path(".env", f"CORS_ORIGINS={OTHER}\n")
    gateway.signal(signal.SIGHUP)
    pregon.eventually(lambda: system.handshake(gateway).status, lambda s: s == 101)


@pytest.mark.parametrize("bad", ["CORS_ORIGINS=app.example", "WEBSOCKET_ENABLED=perhaps",
                                 "CORS_ORIGINS=*\nCORS_ALLOW_CREDENTIALS=1", "PORT=x"])
def test_a_bad_value_at_sighup_keeps_the_old_settings_and_is_named(system, bad):
    broker = system.broker()
    system.path(".env", f"CORS_ORIGINS={OURS}\n")
    gateway = system.gateway(broker, port=0)
    if bad.startswith("PORT"):
        bad = "WEBSOCKET_TIMEOUT=x"  # the port is a flag here, which counts over the file
    client = system.client(gateway, "?symbols=X")
    client.receive("ack")
    system.path(".env", f"{bad}\nWEBSOCKET_MAX_CONNECTIONS=5\n")
    line = reload(gateway, r".*SIGHUP: .*old (ones|settings).*")
    assert line.startswith("ERROR:")
    name = bad.split("=")[0]
    assert any(name in text for text in gateway.log("err") if not text.startswith("INFO"))
    assert allowed(system, gateway, OURS) and not allowed(system, gateway, OTHER)
    assert gateway.page("health")["gateway"]["max_connections"] == 100
    assert client.request("ping")["type"] == "ack"


def test_sighup_is_no_reason_to_stop_for_anyone(system):
    broker = system.broker()
    feeder = system.feeder(broker, "sim:1", rate=100)
    gateway = system.gateway(broker)
    client = system.client(gateway)
    for process in (broker, feeder, gateway):
        here = process.log_position()
        process.signal(signal.SIGHUP)
        process.wait_for_log("SIGHUP", after=here)
    for _ in range(20):
        client.receive("quote")


@pytest.mark.parametrize("program, name, value, allowed", [
    ("gateway", "HOST", "x86_64-conda-linux-gnu", "an address"),
    ("gateway", "HOST", "aarch64-unknown-linux-gnu", "an address"),
    ("gateway", "HOST", "", "an address"), ("gateway", "HOST", "127.0.0.1:8000", "an address"),
    ("gateway", "HOST", "::1", "an address"),
    ("gateway", "PORT", "tcp://10.0.0.7:8000", "a whole number"),  # as containers link them
    ("gateway", "PORT", "65536", "a whole number"),
    ("tail", "MODE", "production", "one of all, merge"), ("tail", "FORMAT", "%h %l", "one of auto"),
    ("tail", "COUNT", "many", "a whole number"), ("feeder", "RATE", "1/s", "a whole number"),
    ("feeder", "SPEED", "fast", "a whole number"), ("feeder", "LOOP", "forever", "1/0"),
])
def test_a_generic_name_in_the_environment_is_reported_with_its_origin(
    system, program, name, value, allowed
):
    one = system.process(program, {}, wait=False, env={name: value})
    one.wait_for_log(rf"CRITICAL: {name}=.* \(environment\): must be {allowed}")
    one.wait_for_exit(2)


def test_a_host_may_be_a_name(system):
    gateway = system.gateway(system.broker(), host="localhost")
    assert gateway.get("/cotizaciones/live").status == 200
