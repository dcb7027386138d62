"""The Python programs of consumer/examples and of the READMEs do what those describe."""

import pytest

from example_client import (
    Client, asking, example, fetch_what_is_missing, follow_through_everything,
    lose_nothing_in_mode_all,
)
from programs import interpreter
from test_readme import READMES, snippet

BEARER = {"Authorization": "Bearer open-sesame"}
LOCK = "/cotizaciones/locks/telegram-bot"


def command(python):
    return [interpreter(python), "-u"]


@pytest.mark.every_python
def test_the_python_client_follows_quotes_through_a_restart(system, python):
    follow_through_everything(system, command(python), "client.py", example("stream.py"))


@pytest.mark.every_python
def test_the_python_client_loses_no_quote_in_mode_all(system, python):
    lose_nothing_in_mode_all(system, command(python), "client.py", example("stream.py"))


def test_the_python_client_comes_back_for_a_record_that_is_missing(system, python):
    fetch_what_is_missing(system, command(python), "client.py", example("stream.py"))


def test_the_python_client_shows_why_it_was_refused(system, python):
    broker, gateway = system.start(websocket_enabled=0)
    client = Client(system, gateway, command(python), "client.py", example("stream.py"))
    client.wait_for_log(
        r"^websocket_disabled: WebSockets are turned off here\. Set WEBSOCKET_ENABLED=1"
    )
    client.kill()


def test_the_python_client_names_a_parameter_that_does_not_exist(system, python):
    broker, gateway = system.start()
    code = example("stream.py").replace(":8000", ":8000/ws/cotizaciones?symbol=DAX")
    client = Client(system, gateway, command(python), "client.py", code)
    client.wait_for_log(r"Refused: malformed: The parameter 'symbol' does not exist here")
    client.wait_for_exit(1)


def test_the_python_client_backs_off_when_it_is_refused_by_close_code(system, python):
    broker, gateway = system.start(websocket_max_connections=0, websocket_explain=1)
    code = "import asyncio, pregon._link\nasync def now(seconds): pass\nasyncio.sleep = now\n"
    client = Client(system, gateway, command(python), "client.py", code + example("stream.py"))
    client.wait_for_log(r"^max_connections: .*; next attempt in ([4-9]|\d\d)\.\d s$")
    client.kill()


@pytest.mark.parametrize("readme", READMES)
def test_the_python_client_of_the_readme_prints_quotes_and_states(system, python, readme):
    code = snippet(readme, "python")
    assert len(code.splitlines()) <= 10
    follow_through_everything(system, command(python), "client.py", code)


def test_the_lock_is_taken_and_released_and_a_holder_is_named(system, python):
    broker, gateway = system.start(locks_token="open-sesame")
    bot = Client(system, gateway, command(python), "bot.py", example("lock.py"))
    bot.wait_for_exit()
    done = [m[1] for m in gateway.logged(rf'"(PUT|DELETE) {LOCK}.* 200 OK')]
    assert done == ["PUT", "DELETE"]
    (lock,) = gateway.page("telegram_locks_status")["locks"]
    assert (lock["name"], lock["state"], lock["token"] > 0) == ("telegram-bot", "free", True)

    assert gateway.get(LOCK, "PUT", BEARER, '{"owner":"another","ttl":60}').status == 200
    second = Client(system, gateway, command(python), "bot2.py", example("lock.py"))
    second.wait_for_exit(1)
    assert second.logged("^held: .*another")
    assert not second.logged("Traceback")
    assert gateway.page("locks/telegram-bot")["holder"] == "another"


def test_the_quote_of_the_example_is_published(system, python):
    broker, gateway = system.start(publish_token="s3cret")
    writer = Client(system, gateway, command(python), "publish.py", example("publish.py"))
    writer.wait_for_exit()
    assert writer.log("out") == ["[1]"]
    assert gateway.page("quotes/EUR/USD")["bid"] == "1.0842"
