"""A set-up to be examined by pregon-doctor, and its report."""

import json
import os
import subprocess

import pytest

import pregon

PAGE = "https://page.example"
LISTED = f"{PAGE},https://*.wild.example,http://localhost:*"


class Report:
    def __init__(self, process):
        self.code = process.returncode
        self.text = process.stdout
        self.stderr = process.stderr

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def findings(self):
        return self.json["findings"]

    def names(self, *severities):
        return sorted(
            {f["name"] for f in self.findings if not severities or f["severity"] in severities}
        )

    def one(self, name):
        (finding,) = [f for f in self.findings if f["name"] == name]
        return finding


def examine(*flags, env=None, cwd=None, as_json=True, user=None):
    process = subprocess.run(
        [os.path.join(pregon.BIN, "pregon-doctor"), *(["--json"] if as_json else []), *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, check=False,
        timeout=pregon.PATIENCE * 4, user=user, env={**pregon.plain_environment(), **(env or {})})
    assert not pregon.SANITIZER.search(process.stderr), process.stderr
    return Report(process)


class Setup:
    """Real processes, the .env file that they were started with, and mistakes that a test adds to
    it."""

    def __init__(self, system, broker, gateway):
        self.system, self.broker, self.gateway = system, broker, gateway
        self.settings = {"CORS_ORIGINS": LISTED}
        for process in (broker, gateway):
            self.settings.update(
                {k.upper(): v for k, v in process.settings.items()} if process else {}
            )
        if gateway:
            self.settings["PORT"] = gateway.port

    def env_file(self, mode=0o600, lines=(), **changes):
        settings = {**self.settings, **changes}
        text = "".join(
            f"{k}={int(v) if isinstance(v, bool) else v}\n"
            for k, v in settings.items()
            if v is not None
        )
        path = self.system.path("some.env", text + "".join(line + "\n" for line in lines))
        os.chmod(path, mode)
        return path

    def examine(self, *flags, env=None, as_json=True, **changes):
        path = self.env_file(**changes)
        return examine(
            "--env-file", path, *flags, env=env, cwd=self.system.directory.name, as_json=as_json
        )


def healthy(system, feed=True, **gateway_settings):
    broker = system.broker(store="sqlite:" + system.path("log.db"))
    gateway = system.gateway(broker, **{"cors_origins": LISTED, **gateway_settings})
    if feed:
        system.feed(broker).wait_processed(system.peers[-1].quote("EUR/USD", bid="1", ask="2"))
    pregon.eventually(lambda: gateway.get("/cotizaciones/ready").status, lambda s: s == 200)
    pregon.eventually(lambda: gateway.page("health")["broker"]["status"], lambda s: s == "up")
    return Setup(system, broker, gateway)


@pytest.fixture(scope="module")
def well(shared_system):
    """One set-up without a mistake, for tests that add theirs to .env or to a proxy in between."""
    return healthy(shared_system)


IN_BETWEEN = [
    ({"drop": ("Upgrade", "Connection")}, ["proxy_drops_upgrade"]),
    ({"drop": ("Sec-WebSocket-Key",)}, ["proxy_drops_upgrade"]),
    ({"answers": ("/ws/", "403 Forbidden")}, ["proxy_refuses"]),
    ({"answers": ("", "401 Unauthorized")}, ["proxy_refuses"]),
    ({"answers": ("/ws/", "502 Bad Gateway")}, ["proxy_cannot_reach_gateway"]),
    ({"answers": ("", "301 Moved\r\nLocation: https://there.example/")}, ["proxy_redirects"]),
    ({"answers": ("", "200 OK")}, ["public_url_elsewhere"]),
    ({"answers": ("/ws/", "404 Not Found")}, ["public_url_elsewhere"]),
    ({"path": lambda p: "/api" + p}, ["proxy_changes_path"]),
    ({"path": lambda p: p.replace("/ws/", "/websocket/")}, ["proxy_changes_path"]),
    ({"swallows": True}, ["proxy_buffers"]),
    ({"replace": {"Origin": "http://inside"}}, ["proxy_changes_origin"]),
    ({"drop": ("Origin",)}, ["proxy_changes_origin"]),
    ({"add_to_answers": "Access-Control-Allow-Origin: *"}, ["proxy_changes_cors"]),
    ({"forwards": False}, ["proxy_hides_client"]),
    ({"host": "gateway.internal"}, ["proxy_host_lost"]),
    ({"scheme": "https"}, ["proxy_scheme_lost"]),
    (
        {"drop": ("Upgrade", "Connection"), "forwards": False},
        ["proxy_drops_upgrade", "proxy_hides_client"],
    ),
]
