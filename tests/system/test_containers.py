"""What docker-compose.yml, .env.example and the balancer's files say agrees with the programs.

None of it needs an engine; `make test-compose` runs the stack.
"""

import os
import re
import subprocess

import pregon
import pytest

# Set by the stack itself, for the reasons in docs/operations.md, "In containers".
FIXED = {
    "pregon-broker": {"BROKER_INGEST", "BROKER_PUBLISH", "BROKER_CONTROL", "BACKUP", "RESTORE"},
    "pregon-feeder": {"BROKER_INGEST", "BROKER_CONTROL", "FEED", "SOURCE", "LOOP"},
    "pregon-gateway": {"BROKER_PUBLISH", "BROKER_CONTROL", "HOST", "PORT", "GATEWAY_NAME"},
    "pregon-tail": {
        "BROKER_PUBLISH",
        "BROKER_CONTROL",
        "SYMBOLS",
        "FORMAT",
        "MODE",
        "SINCE",
        "COUNT",
        "SNAPSHOT",
        "FORGET",
        "UNTIL",
    },
    "pregon-doctor": {"GATEWAY_URL", "DISK_FREE_MIN", "JSON", "LIST"},
    "pregon-telegram": {"BROKER_PUBLISH", "BROKER_CONTROL", "TELEGRAM_TOKEN_FILE"},
}


def read(*path):
    with open(os.path.join(pregon.ROOT, *path), encoding="utf-8") as f:
        return f.read()


def tables():
    """The tables of docs/config.md: {program: {setting: default}}."""
    found = {}
    for line in read("docs", "config.md").splitlines():
        heading = re.match(r"## (\S+)", line)
        row = re.match(r"\| [^|]*\| `([A-Z_]+)` \| (?:`([^`]*)`|empty) ", line)
        if heading:
            found[heading[1]] = settings = {}
        elif row:
            settings[row[1]] = row[2] or ""
    return found


def service(name):
    """A service's part of docker-compose.yml."""
    return re.search(rf"^  {name}:\n((?:    .*\n|\n|  #.*\n)+)", read("docker-compose.yml"), re.M)[
        1
    ]


def environment(name):
    listed = re.search(r"    environment: \[(.*?)\]\n", service(name), re.S)[1]
    listed = re.sub(r"#.*", "", listed)
    return {re.match(r'"?(\w+)', item.strip())[1] for item in listed.split(",") if item.strip()}


def interpolated():
    return dict(re.findall(r"\$\{(\w+):-([^}]*)\}", read("docker-compose.yml")))


@pytest.mark.parametrize("name", ("broker", "feeder", "gateway", "balancer", "telegram"))
def test_the_engine_restarts_a_service_that_ended(name):
    assert re.search(
        r"^x-program: &program\n  restart: unless-stopped\n", read("docker-compose.yml"), re.M
    )
    assert "<<: *program" in service(name) and "restart:" not in service(name)


@pytest.mark.parametrize("program", sorted(tables()))
def test_every_setting_of_a_program_reaches_its_container(program):
    name = program.removeprefix("pregon-")
    assert (environment(name) - {"NO_COLOR"}) | FIXED[program] == set(tables()[program])
    assert not environment(name) & FIXED[program]


def test_each_variable_of_the_compose_file_is_in_the_example_with_its_default():
    listed = dict(re.findall(r"^#([A-Z_]+)=(.*)$", read(".env.example"), re.M))
    settings = {s for table in tables().values() for s in table}
    for name, default in interpolated().items():
        assert name in listed, name
        if name not in settings and name != "TLS_CERTIFICATE":
            assert listed[name] == default, name
    assert set(listed) <= settings | set(interpolated()), "unknown to everybody"


def test_a_gateway_drains_longer_than_the_balancer_needs_and_is_not_killed_before():
    inter, fall = re.search(
        r"check inter (\d+)s fall (\d+)", read("balancer", "haproxy.cfg")
    ).groups()
    delay = float(interpolated()["DRAIN_DELAY"])
    assert delay >= int(inter) * int(fall) + 2
    goodbye = float(tables()["pregon-gateway"]["TIMEOUT_GRACEFUL_SHUTDOWN"])
    assert float(interpolated()["STOP_GRACE"].rstrip("s")) >= delay + goodbye + 5


# --- CORS of the balancer's own errors ------------------------------------------------------


def expressions(origins=None):
    env = dict(pregon.plain_environment())
    if origins is not None:
        env["CORS_ORIGINS"] = origins
    out = subprocess.run(
        ["awk", "-f", os.path.join(pregon.ROOT, "balancer", "origins.awk")],
        env=env,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return out.stdout.splitlines()


LISTS = (
    None,
    "https://a.example",
    " https://A.example/ , http://b.example:8080 ",
    '["https://a.example:443", "null"]',
    "https://*.a.example,http://localhost:*",
    "*://a.example",
    "http://*",
    "http://a.b.example:80,https://[::1]:3000",
    "",
)
ORIGINS = (
    "https://a.example",
    "https://A.EXAMPLE",
    "https://a.example:443",
    "https://a.example:444",
    "http://a.example",
    "https://x.a.example",
    "https://x.y.a.example",
    "https://xa.example",
    "https://a.example.evil.example",
    "http://b.example:8080",
    "http://b.example",
    "http://localhost:3000",
    "http://localhost",
    "http://localhost:80x",
    "http://127.0.0.1:3000",
    "http://127a0.0.1:3000",
    "null",
    "http://a.b.example",
    "http://a-b.example",
    "https://[::1]:3000",
    "http://[::1]",
    "https://evil.example/https://a.example",
    "https://a.example@evil.example",
)


@pytest.mark.parametrize("origins", LISTS)
def test_the_balancer_lets_an_origin_read_exactly_if_the_gateways_do(system, origins):
    gateway = system.gateway(**({} if origins is None else {"cors_origins": origins}))
    patterns = [re.compile(e) for e in expressions(origins)]
    for origin in ORIGINS:
        headers = gateway.get("/cotizaciones/live", headers={"Origin": origin}).headers
        allowed = "Access-Control-Allow-Origin" in headers
        assert any(p.search(origin.lower()) for p in patterns) == allowed, origin


def test_a_star_in_a_list_is_a_star_for_the_balancer_too():
    assert "*" in expressions("https://a.example,*")
