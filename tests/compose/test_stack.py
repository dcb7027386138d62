"""docker-compose.yml on a real engine, through the balancer on loopback, clients counting.

The tests share one stack, in this order; each first sets the number of gateways that it needs.
"""

import json
import subprocess
import time

import pytest
from conftest import notes
from engine import run
from fake_telegram import FakeTelegram
from stack import PATIENCE, eventually

ORIGIN = {"Origin": "http://localhost:3000"}
PLACES = 12  # WEBSOCKET_MAX_CONNECTIONS in the test of a full gateway

# Holds connections to its own gateway that the balancer does not know.
OCCUPY = r"""
for i in $(seq %d); do
    exec {fd}<>/dev/tcp/127.0.0.1/8000
    printf '%%s\r\n' 'GET /ws/cotizaciones?symbols=NONE HTTP/1.1' 'Host: x' 'Upgrade: websocket' \
        'Connection: Upgrade' 'Sec-WebSocket-Version: 13' \
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' '' >&$fd
done
exec sleep 25
"""

# A faulty gateway, in Perl, which Debian always has: it is ready, and then sends garbage or
# nothing.
MAD = r"""
use IO::Socket::INET; $SIG{CHLD} = "IGNORE";
$s = IO::Socket::INET->new(LocalPort => 8000, Listen => 50, ReuseAddr => 1) or die;
while (1) {
    $c = $s->accept or next;
    next if fork;
    $_ = <$c>;
    while (($h = <$c>) && $h ne "\r\n") {}
    print $c "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" if /ready/;
    print $c "what?\r\n\r\n" if /nonsense/;
    $c->flush;
    sleep 30 if /silence/;
    exit;
}
"""


def url(stack):
    return f"ws://127.0.0.1:{stack.port}/ws/cotizaciones"


def one(stack, service):
    (container,) = stack.containers(service)
    return container


def test_up_starts_broker_feeder_gateway_and_balancer_and_serves_quotes(stack):
    eventually(lambda: (stack.page("health") or {}).get("status"), lambda s: s == "ok", "health")
    symbols = {q["symbol"] for q in eventually(lambda: stack.page("quotes"))["quotes"]}
    assert "USD/THB" in symbols
    for service in ("broker", "feeder", "gateway", "balancer"):
        stack.wait_healthy(service)
    status, _, body = stack.get("/")
    assert status == 200 and "<html" in body
    assert stack.page("health")["store"]["kind"] == "sqlite"


@pytest.mark.parametrize("service", ["broker", "feeder", "gateway", "balancer"])
def test_a_container_can_do_little_and_holds_little(stack, service):
    seen = stack.inspect(one(stack, service))
    host = seen["HostConfig"]
    assert seen["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"]
    assert any(o.startswith("no-new-privileges") for o in host["SecurityOpt"])
    assert host["Memory"] > 0 and host["PidsLimit"] > 0 and host["Init"]
    status = stack.inside(seen["Id"], "cat", "/proc/self/status")
    assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status
    tools = "for t in gcc cc make ld curl wget python3; do command -v $t; done; true"
    assert not stack.inside(seen["Id"], "sh", "-c", tools).strip()
    packages = stack.inside(
        seen["Id"], "dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n"
    )
    assert "installed libc6" in packages
    assert not [
        p for p in packages.splitlines() if p.startswith("installed") and p.endswith("-dev")
    ]
    assert "Read-only" in stack.inside(seen["Id"], "sh", "-c", "echo > /usr/x || echo > /etc/x",
                                       check=False)


@pytest.mark.parametrize(
    "name", ["broker", "feeder", "gateway", "balancer", "tail", "telegram", "doctor"]
)
def test_an_image_is_its_base_the_program_and_its_libraries(stack, name):
    def size(image):
        return int(run("docker", "image", "inspect", "-f", "{{.Size}}", image)) / 1e6

    base, image = size(stack.env["BASE"]), size(f"pregon-{name}:test")
    notes.append(f"image {name}: {image:.1f} MB, {image - base:.1f} MB of it on top of the base")
    assert image - base < 40


def test_only_the_balancer_is_published_and_only_on_loopback(stack):
    for service in ("broker", "feeder", "gateway"):
        assert not stack.inspect(one(stack, service))["HostConfig"]["PortBindings"]
    bindings = stack.inspect(one(stack, "balancer"))["HostConfig"]["PortBindings"]
    assert {b["HostIp"] for ports in bindings.values() for b in ports} == {"127.0.0.1"}


def test_scaling_up_and_down_under_clients_loses_nothing(stack, feed, crowd):
    stack.scale(1)
    crowd.join(6, url(stack))
    stack.scale(3)
    crowd.join(6, url(stack))
    assert sorted(stack.gateways().values()) == [3, 3, 6], "those with fewer get the new ones"
    stack.scale(5)
    crowd.join(8, url(stack))
    crowd.goes_on(feed)
    assert sum(stack.gateways().values()) == 20 and len(stack.gateways()) == 5
    assert crowd.connections() == [1] * 20, "scaling up cuts nobody"

    stack.scale(2)
    crowd.goes_on(feed)
    eventually(lambda: sum(stack.gateways().values()), lambda n: n == 20, "everybody is back")
    moved = [c for c in crowd.clients if len(c.gateways) > 1]
    assert moved and len(moved) < 20
    for client in moved:
        assert client.closes == [1012], "told to go, not cut"
        assert not client.refusals, "a draining gateway is not given anybody"
        assert client.gateways[-1] in stack.gateways()


def test_while_gateways_are_replaced_no_client_is_refused(stack, feed, crowd):
    stack.scale(3)
    crowd.join(6, url(stack))
    leaving = subprocess.Popen(stack.command("up", "-d", "--no-build", "--scale", "gateway=1"),
                               env=stack.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        asked = 0
        while leaving.poll() is None or asked < 20:
            status, _, body = stack.get("/cotizaciones/websocket_check")
            assert (status, json.loads(body)["code"]) == (200, "admitted")
            if asked < 60:
                newcomer, = crowd.join(1, url(stack))
                assert not newcomer.refusals
            asked += 1
    finally:
        assert leaving.wait(PATIENCE) == 0
    crowd.goes_on(feed)
    assert not [r for c in crowd.clients for r in c.refusals]


def test_a_broker_restarted_killed_or_moved_costs_no_websocket(stack, feed, crowd):
    stack.scale(2)
    crowd.join(6, url(stack))
    crowd.goes_on(feed)
    epoch = stack.page("health")["broker"]["epoch"]

    stack.compose("restart", "broker")
    stack.wait_healthy("broker")
    crowd.goes_on(feed)

    container = one(stack, "broker")
    started = stack.inspect(container)["State"]["StartedAt"]
    stack.kill_inside(container)
    eventually(lambda: stack.inspect(container)["State"]["StartedAt"], lambda s: s != started,
               "the engine starts it again")
    crowd.goes_on(feed)

    before = stack.address(container, "bus")
    stack.compose("rm", "-s", "-f", "broker")
    squatter = run("docker", "run", "-d", "--rm", "--network", f"{stack.name}_bus", "--label",
                   f"com.docker.compose.project={stack.name}", "--entrypoint", "sleep",
                   "pregon-balancer:test", "600").split()[-1]
    stack.compose("up", "-d", "--no-build", "--no-deps", "broker")
    assert stack.address(one(stack, "broker"), "bus") != before
    crowd.goes_on(feed)
    run("docker", "rm", "-f", squatter)

    assert crowd.connections() == [1] * 6 and all(c.is_open for c in crowd.clients)
    assert (
        eventually(lambda: stack.page("health"))["broker"]["epoch"] == epoch
    ), "the volume kept the log"


def test_a_feeder_restarted_or_killed_costs_no_websocket(stack, feed, crowd):
    stack.scale(2)
    crowd.join(4, url(stack))
    container = one(stack, "feeder")

    def is_live():
        feeds = (stack.page("health") or {"feeds": []})["feeds"]
        return {f["name"]: f["status"] for f in feeds}.get("recorded") == "live"

    for end in (lambda: stack.compose("restart", "feeder"), lambda: stack.kill_inside(container)):
        began = stack.inspect(container)["State"]["StartedAt"]
        end()
        eventually(lambda: stack.inspect(container)["State"]["StartedAt"], lambda s: s != began)
        stack.wait_healthy("feeder")
        eventually(is_live, what="the feed")
    crowd.goes_on(feed)
    assert crowd.connections() == [1] * 4


def test_a_gateway_killed_or_restarted_is_resumed_without_loss(stack, feed, crowd):
    stack.scale(2)
    crowd.join(6, url(stack))
    victim = stack.containers("gateway")[0]
    stack.kill_inside(victim)
    crowd.goes_on(feed)
    assert any(len(c.gateways) > 1 for c in crowd.clients)
    eventually(lambda: stack.inspect(victim)["State"]["Status"], lambda s: s == "running")
    stack.wait_healthy("gateway")

    stack.compose("restart", "gateway")  # both at once: for a while no gateway is available
    stack.wait_healthy("gateway")
    crowd.goes_on(feed)
    assert all(len(c.gateways) > 1 for c in crowd.clients)


def test_a_restarted_balancer_is_resumed_without_loss(stack, feed, crowd):
    stack.scale(2)
    crowd.join(6, url(stack))
    stack.compose("restart", "balancer")
    crowd.goes_on(feed)
    eventually(lambda: sum(stack.gateways().values()), lambda n: n == 6, "all are back, once each")


def test_a_client_that_a_full_gateway_refuses_gets_the_next_gateway(stack, feed, crowd):
    stack.env["WEBSOCKET_MAX_CONNECTIONS"] = str(PLACES)
    try:
        stack.scale(2)
        full, other = stack.containers("gateway")
        stack.inside(full, "true")
        occupier = subprocess.Popen(["docker", "exec", full, "bash", "-c", OCCUPY % PLACES],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            eventually(lambda: sorted(stack.gateways().values()), lambda v: v == [0, PLACES])
            crowd.join(PLACES, url(stack))
            names = {c.gateways[0] for c in crowd.clients}
            assert len(names) == 1 and names.pop().startswith(other[:12])
            assert not [r for c in crowd.clients for r in c.refusals]
            status, headers, body = stack.get("/ws/cotizaciones", {
                "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **ORIGIN})
            assert (status, json.loads(body)["error"]["code"]) == (503, "max_connections")
            assert headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        finally:
            occupier.kill()
            occupier.wait()
    finally:
        del stack.env["WEBSOCKET_MAX_CONNECTIONS"]


def test_the_balancers_own_errors_look_like_a_gateways(stack):
    stack.scale(1)
    _, ours, _ = stack.get("/nowhere", ORIGIN)
    stack.compose("stop", "gateway")
    mad = run("docker", "run", "-d", "--rm", "--network", f"{stack.name}_edge", "--network-alias",
              "gateway", "--label", f"com.docker.compose.project={stack.name}", "--entrypoint",
              "perl", "pregon-balancer:test", "-e", MAD).split()[-1]
    try:
        eventually(lambda: stack.get("/cotizaciones/ready")[0], lambda s: s == 200, "the mad one")
        for path, status, code in (
            ("/nonsense", 502, "gateway_failed"),
            ("/empty", 502, "gateway_failed"),
            ("/silence", 504, "gateway_timed_out"),
        ):
            check_error(stack, path, status, code, ours)
    finally:
        run("docker", "rm", "-f", mad)
    eventually(lambda: stack.get("/")[0], lambda s: s == 503, "no gateway")
    check_error(stack, "/cotizaciones/health", 503, "no_gateway", ours)
    assert not stack.is_healthy("balancer") or eventually(lambda: not stack.is_healthy("balancer"))
    stack.scale(1)


def check_error(stack, path, status, code, ours):
    got, headers, body = stack.get(path, ORIGIN)
    assert got == status
    error = json.loads(body)["error"]
    assert set(error) == {"code", "message", "hint", "request_id"}
    assert error["code"] == headers["X-Reject-Reason"] == code
    assert error["request_id"] == headers["X-Request-Id"] and len(error["request_id"]) == 16
    assert (status != 503) or int(headers["Retry-After"]) > 0
    for name in ("Access-Control-Allow-Origin", "Vary", "Content-Type", "Cache-Control",
                 "X-Content-Type-Options"):
        assert headers[name] == ours[name], name
    _, headers, _ = stack.get(
        path if status == 503 else "/nonsense", {"Origin": "http://evil.example"}
    )
    assert "Access-Control-Allow-Origin" not in headers and headers["Vary"] == "Origin"


def test_gateways_know_the_clients_address_and_believe_the_balancer_alone(stack):
    stack.scale(1)
    gateway, asker = one(stack, "gateway"), one(stack, "feeder")
    run("docker", "network", "connect", f"{stack.name}_edge", asker)
    try:
        mine = stack.address(asker, "edge")
        forged = "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil"
        for headers in ((), forged):
            seen = stack.get_inside(asker, "balancer", "/cotizaciones/websocket_check", *headers)
            assert seen["client"] == f"{mine}:0"
            assert seen["proxy"]["peer_is_trusted"]
            assert seen["proxy"]["own_origin"] == "http://balancer:8000"
        seen = stack.get_inside(asker, "gateway", "/cotizaciones/websocket_check", *forged)
        assert seen["client"].rsplit(":", 1)[0] in (mine, stack.address(asker, "bus"))
        assert not seen["proxy"]["peer_is_trusted"]
    finally:
        run("docker", "network", "disconnect", f"{stack.name}_edge", asker)
    assert f'{mine}:0 - "GET /cotizaciones/websocket_check' in run(
        "docker", "logs", "--tail", "100", gateway
    )


def test_a_second_feeder_run_beside_the_first_is_a_feed_of_its_own(stack, feed):
    feeds = {f["name"]: f["status"] for f in stack.page("health")["feeds"]}
    assert feeds == {"recorded": "live", "feed": "live"}


def test_tail_shows_the_symbols_of_its_arguments(stack, feed):
    out = subprocess.run(
        stack.command("run", "--rm", "-T", "tail", "COU*", "--count", "5"),
        env=stack.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
        text=True,
    ).stdout
    quotes = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert [q["symbol"] for q in quotes] == ["COUNT"] * 5
    assert [int(q["last"]) for q in quotes] == [int(quotes[0]["last"]) + i for i in range(5)]


def test_two_telegram_bots_are_one_and_the_second_goes_on(stack, feed):
    network = json.loads(run("docker", "network", "inspect", f"{stack.name}_bus"))[0]
    here = network["IPAM"]["Config"][0]["Gateway"]
    try:
        telegram = FakeTelegram(host=here)
    except OSError as e:
        pytest.skip(f"the engine's network does not end on this machine: {e}")
    stack.env.update(TELEGRAM_TOKEN=telegram.token, TELEGRAM_API_BASE_URL=telegram.url)
    try:
        stack.compose("--profile", "telegram", "up", "-d", "--no-build", "--no-deps", "telegram")
        assert len(stack.containers("telegram")) == 2
        stack.wait_healthy("telegram")
        for number in (1, 2):
            telegram.user_sends(7, "/price COUNT")
            assert "COUNT" in telegram.wait_sent(7, count=number)[-1]
            (lock,) = [
                k for k in stack.page("telegram_locks_status")["locks"] if k["state"] == "held"
            ]
            holder = [c for c in stack.containers("telegram") if c.startswith(lock["host"])]
            run("docker", "stop", *holder)
        assert stack.get(f"/cotizaciones/locks/{lock['name']}/value")[0] in (
            401,
            403,
        ), "it names chats"
        assert len(telegram.sent) == 2, "each command is answered once"
    finally:
        run(
            *stack.command("--profile", "telegram", "rm", "-s", "-f", "telegram"),
            env=stack.env,
            check=False,
        )
        telegram.close()
        del stack.env["TELEGRAM_TOKEN"], stack.env["TELEGRAM_API_BASE_URL"]


def test_with_a_certificate_https_and_wss_are_served_and_http_is_redirected(stack, feed, crowd):
    stack.scale(2)
    path, trust = stack.certificate()
    stack.env["TLS_CERTIFICATE"] = path
    try:
        stack.compose("up", "-d", "--no-build", "--no-deps", "balancer")
        stack.wait_healthy("balancer")
        status, _, body = stack.get("/cotizaciones/websocket_check", tls=trust)
        assert status == 200
        assert json.loads(body)["proxy"]["own_origin"] == f"https://127.0.0.1:{stack.tls_port}"
        status, headers, _ = stack.get("/cotizaciones/quotes?limit=1")
        assert status == 308
        assert (
            headers["Location"] == f"https://127.0.0.1:{stack.tls_port}/cotizaciones/quotes?limit=1"
        )
        crowd.join(3, f"wss://127.0.0.1:{stack.tls_port}/ws/cotizaciones", trust)
        crowd.goes_on(feed)
    finally:
        del stack.env["TLS_CERTIFICATE"]
        stack.compose("up", "-d", "--no-build", "--no-deps", "balancer")
        stack.wait_healthy("balancer")


def test_a_stop_of_all_programs_loses_no_published_quote(stack, feed, crowd):
    stack.scale(1)
    crowd.join(2, url(stack))
    crowd.goes_on(feed)
    assert feed.stop() == 0, feed.said
    last = crowd.hear_all(feed)
    began = time.monotonic()
    stack.compose("stop")
    notes.append(f"`stop` of everything took {time.monotonic() - began:.1f} s")
    for service in ("broker", "gateway"):
        assert not stack.containers(service)
    stack.compose("start")
    eventually(lambda: (stack.page("quotes/COUNT") or {}).get("last"), lambda v: v == str(last))


def test_down_leaves_nothing(stack):
    stack.down()
    assert stack.labelled() == {"containers": [], "networks": [], "volumes": []}
