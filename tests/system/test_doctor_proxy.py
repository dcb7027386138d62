"""pregon-doctor names mistakes in the rights of pages, and in a proxy in front of a gateway."""

import shutil
import socket
import subprocess

import pytest

import pregon
from doctor_setup import IN_BETWEEN, LISTED, healthy, well  # noqa: F401 (fixtures)
from meddler import Elsewhere, Meddler


def test_a_page_that_is_not_listed_is_reported_with_the_line_that_lists_it(well):
    finding = well.examine("--origin=https://my.page").one("origin_not_allowed")
    assert finding["change"] == f"CORS_ORIGINS={LISTED},https://my.page"


def test_a_list_that_the_gateway_has_not_read_yet_is_named(well):
    finding = well.examine(CORS_ORIGINS="https://new.page").one("settings_not_in_force")
    assert "https://new.page" in finding["seen"] and "SIGHUP" in finding["do"]


def test_a_foreign_page_that_gets_in_is_named(system):
    setup = healthy(system, cors_origins="*")
    assert setup.examine().names() == ["origin_star"]
    assert setup.examine(CORS_ORIGINS=LISTED).names() == ["foreign_origin_admitted"]


def test_a_token_that_is_another_one_is_named_and_the_right_one_is_shown(system):
    setup = healthy(system, websocket_token="right")
    assert setup.examine().names() == []
    assert setup.examine(WEBSOCKET_TOKEN="wrong").names() == ["unauthorized"]


def test_websockets_that_are_off_are_named_once(system):
    setup = healthy(system, websocket_enabled=False)
    finding = setup.examine().one("websocket_disabled")
    assert finding["change"] == "WEBSOCKET_ENABLED=1"


@pytest.mark.parametrize("explain", [0, 1])
def test_a_gateway_that_is_full_is_named_explaining_or_not(system, explain):
    setup = healthy(system, websocket_max_connections=1, websocket_explain=explain)
    system.client(setup.gateway).receive("welcome")
    report = setup.examine()
    assert report.names() == ["max_connections"], report.text
    assert report.one("max_connections")["change"] == "WEBSOCKET_MAX_CONNECTIONS=2"


def test_a_single_place_is_enough_to_look(system):
    assert healthy(system, websocket_max_connections=1).examine().names() == []


def test_a_gateway_that_drains_is_named(system):
    setup = healthy(system, timeout_graceful_shutdown=60)
    mute = system.raw_client(setup.gateway)  # it does not answer the close, so the drain lasts
    mute.receive("welcome")
    setup.gateway.signal(15)
    setup.gateway.wait_for_log("Waiting for connections to close")
    assert setup.examine().names() == ["draining"]
    assert mute.wait_closed() == 1012
    setup.gateway.wait_for_exit(0)


@pytest.mark.parametrize(
    "how,found", IN_BETWEEN, ids=[str(f) + str(i) for i, (_, f) in enumerate(IN_BETWEEN)]
)
def test_the_doctor_reports_what_a_proxy_changes(well, how, found):
    report = well.examine("--patience=2", PUBLIC_URL=Meddler(well.system, well.gateway, **how).url)
    assert report.names() == found, report.text
    assert report.code == 1


def test_an_untrusted_proxy_is_reported_with_the_line_that_trusts_it(system):
    setup = healthy(system, forwarded_allow_ips="192.0.2.9")
    report = setup.examine(PUBLIC_URL=Meddler(system, setup.gateway).url)
    assert report.names() == ["proxy_not_trusted"]
    assert report.one("proxy_not_trusted")["change"] == "FORWARDED_ALLOW_IPS=192.0.2.9,127.0.0.1"


def test_a_public_url_without_a_server_or_without_tls_is_reported(well):
    nobody = pregon.free_address().replace("tcp", "http")
    assert well.examine(PUBLIC_URL=nobody).names() == ["public_url_unreachable"]
    plain = well.gateway.url.replace("http", "https")
    assert well.examine(PUBLIC_URL=plain).names() == ["public_url_tls"]


def test_another_web_server_where_the_gateway_should_be_is_named(well):
    report = well.examine(GATEWAY_URL=Elsewhere(well.system).url)
    assert report.names() == ["gateway_silent"]


NGINX = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{gateway};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      {upgrade}
    }}
  }}
}}
"""
UPGRADE = (
    'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; '
    'proxy_set_header Connection "upgrade";'
)


@pytest.mark.skipif(not shutil.which("nginx"), reason="there is no nginx")
@pytest.mark.parametrize("upgrade,found", [("", ["proxy_drops_upgrade"]), (UPGRADE, [])])
def test_a_real_nginx_is_seen_through(well, upgrade, found):
    port = int(pregon.free_address().rsplit(":", 1)[1])
    config = well.system.path("nginx.conf", NGINX.format(
        dir=well.system.directory.name, port=port, gateway=well.gateway.port, upgrade=upgrade))
    nginx = subprocess.Popen(
        [shutil.which("nginx"), "-c", config, "-p", well.system.directory.name],
        stderr=subprocess.DEVNULL)
    try:
        def answers():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0

        pregon.eventually(answers)
        assert well.examine(PUBLIC_URL=f"http://127.0.0.1:{port}").names() == found
    finally:
        nginx.terminate()
        nginx.wait(pregon.PATIENCE)
