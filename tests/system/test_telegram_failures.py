"""The Telegram bot where Telegram, its network or its token are at fault."""

import json
import re
import threading
import urllib.request

import pytest

import pregon
from fake_telegram import TERMINATED, TOKEN, FakeTelegram
from telegram_bots import (
    ANA,
    BEN,
    EN,
    ES,
    GROUP,
    LOCK,
    SECRET,
    bot,
    locks,
    start,
    telegram,
)  # noqa: F401 (fixtures)

def test_the_bot_obeys_a_429_and_sends_the_refused_message_once_and_unmarked(system, telegram):
    broker, feed, _ = start(system, telegram)
    telegram.next_call("sendMessage", refuse=(429, "Too Many Requests: retry after 2"),
                       retry_after=2)
    telegram.user_sends(ANA, "/ayuda")
    telegram.user_sends(ANA, "/alertas")
    first, second = telegram.wait_sent(ANA, 2)
    assert first.startswith("Pregón") and second.startswith("No hay alertas")
    calls = telegram.calls_by("", "sendMessage")
    assert len(calls) == 3
    assert calls[1].at - calls[0].at >= 1.99, "it came back before it might"


def test_a_group_never_receives_more_messages_than_telegram_allows(system):
    telegram = system.add(FakeTelegram(limits={"all": (30, 1), "group": (20, 60)}))
    broker, feed, _ = start(system, telegram)
    for n in range(10):
        telegram.user_sends(GROUP, f"/precio@{telegram.username} G{n}")
    for chat in range(100, 140):
        telegram.user_sends(chat, "/ayuda")
    telegram.wait_until(lambda f: len({s.chat for s in f.sent if s.chat > 0}) == 40, "40 chats")
    telegram.wait_sent(GROUP, 6)
    assert telegram.over_limit == 0


def test_a_chat_that_floods_gets_its_first_answers_and_the_rest_is_counted(system, telegram):
    broker, feed, one = start(system, telegram)
    telegram.next_call("sendMessage", refuse=(429, "Too Many Requests: retry after 1"),
                       retry_after=1)
    for n in range(15):
        telegram.user_sends(ANA, f"/precio F{n}")
    telegram.wait_confirmed(telegram.last_update)
    one.wait_for_log(r"not delivered or not answered: \d+ commands not taken of chats that flood")
    telegram.wait_sent(ANA, 5)
    assert not [t for t in telegram.texts(ANA) if ES in t]


GARBAGE = [
    dict(body=b"<html>Bad Gateway</html>", status=502),
    dict(body=b'{"ok":false,"error_code":500,"description":"Internal Server Error"}', status=500),
    dict(body=b'{"ok":true}'),
    dict(body=b""),
    dict(body=b"[" * 100000),
    dict(raw=b""),
    dict(raw=b"\x00\xff" * 500),
    dict(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"),
]


@pytest.mark.parametrize("how", GARBAGE, ids=lambda h: str(h)[:40])
def test_whatever_telegram_answers_the_bot_comes_back_to_its_work(system, telegram, how):
    broker, feed, one = start(system, telegram)
    faults = [telegram.next_call(m, **how) for m in ("getUpdates", "sendMessage")]
    telegram.user_sends(ANA, "/ayuda")
    telegram.user_sends(BEN, "/precio X", language="en")
    telegram.wait_sent(ANA), telegram.wait_sent(BEN)
    assert all(fault.was_met.is_set() for fault in faults)
    one.wait_for_log("sendMessage to chat .: .*; it may have arrived")
    assert [t.startswith((ES, EN)) for t in telegram.texts()].count(True) == 1
    assert len(telegram.texts()) == 2


def test_a_message_without_an_answer_is_repeated_once_with_a_mark(system, telegram):
    broker, feed, _ = start(system, telegram)
    telegram.next_call("sendMessage", raw=b"", after=True)
    telegram.user_sends(ANA, "/precio X")
    first, second = telegram.wait_sent(ANA, 2)
    assert second == ES + first
    telegram.user_sends(ANA, "/alertas")
    assert len(telegram.wait_sent(ANA, 3)) == 3


def test_a_message_that_telegram_will_never_accept_is_dropped_and_reported(system, telegram):
    broker, feed, one = start(system, telegram)
    telegram.next_call("sendMessage", refuse=(403, "Forbidden: bot was blocked by the user"))
    telegram.user_sends(ANA, "/ayuda")
    one.wait_for_log("Forbidden: bot was blocked by the user; it is dropped")
    one.wait_for_log("not delivered or not answered: 1 messages Telegram refuses")
    telegram.user_sends(BEN, "/ayuda")
    telegram.wait_sent(BEN)
    assert not telegram.texts(ANA)


def poll(telegram, **params):
    url = f"{telegram.url}/foreign/bot{TOKEN}/getUpdates?" + urllib.parse.urlencode(params)
    try:
        return json.load(urllib.request.urlopen(url))
    except urllib.error.HTTPError as e:
        return json.load(e)
    except OSError:
        return None  # the test is over


def test_a_foreign_poller_is_named_seen_in_the_locks_and_takes_no_update_from_us(system, telegram):
    broker, feed, one = start(system, telegram)
    gateway = system.gateway(broker)
    telegram.wait_until(lambda f: f.waiting, "a long poll")
    is_over = threading.Event()

    def steal():
        while not is_over.is_set():
            poll(telegram, timeout=1)

    thief = threading.Thread(target=steal, daemon=True)
    thief.start()
    one.wait_for_log(f"409 .{re.escape(TERMINATED)}.: another program polls this bot with the same "
                     "token .* the broker has just confirmed that the lock telegram:4242 is ours")
    shown = pregon.eventually(
        lambda: {l["name"]: l for l in gateway.page("telegram_locks_status")["locks"]},
        lambda l: LOCK + ":conflict" in l, "the alarm on the page of locks")
    assert [(l["state"], l["pid"]) for l in shown.values()] == [("held", one.pid)] * 2
    for n in range(3):
        telegram.user_sends(ANA, f"/precio T{n}")
        telegram.wait_sent(ANA, n + 1)
    is_over.set()
    one.wait_for_log("no 409 for a while")
    pregon.eventually(lambda: locks(system, broker)[":conflict"]["state"], lambda s: s == "free",
                      "the end of the alarm")
    thief.join()
    assert len(one.logged("another program polls")) == 1
    assert len(telegram.texts()) == 3


def test_a_webhook_is_named_and_polling_goes_on_when_it_is_gone(system, telegram):
    broker, feed, one = start(system, telegram)
    telegram.webhook = "https://example.org/hook"
    one.wait_for_log("a webhook is set for this bot")
    pregon.eventually(lambda: locks(system, broker), lambda l: ":webhook" in l, "the alarm")
    telegram.user_sends(ANA, "/ayuda")
    telegram.webhook = ""
    telegram.wait_sent(ANA)


def test_a_token_that_is_not_valid_ends_the_program_with_a_sentence(system, telegram):
    broker = system.broker()
    one = bot(system, broker, telegram, wait=False, env={"TELEGRAM_TOKEN": "4242:other"})
    one.wait_for_log("Telegram answers 401 .Unauthorized.: the token of TELEGRAM_TOKEN or "
                     "TELEGRAM_TOKEN_FILE is not valid")
    one.wait_for_exit(1)
    two = bot(system, broker, telegram)
    telegram.token = "4242:revoked"
    two.wait_for_log("Telegram answers 401")
    two.wait_for_exit(1)
    pregon.eventually(lambda: locks(system, broker)[""]["state"], lambda s: s == "free")


def test_without_a_network_the_bot_names_the_host_and_retries(system, telegram):
    broker = system.broker()
    one = bot(system, broker, telegram, wait=False,
              telegram_api_base_url="http://127.0.0.1:1")
    one.wait_for_log(r"getMe failed: 127\.0\.0\.1:1: .*; going on trying$")
    one.stop()


def test_the_token_comes_from_the_environment_or_a_file_and_nowhere_else(system, telegram):
    broker = system.broker()
    file = system.path("token", TOKEN + "\n")
    bot(system, broker, telegram, env={"TELEGRAM_TOKEN": ""}, telegram_token_file=file).stop()
    for env, settings, what in (
        ({"TELEGRAM_TOKEN": ""}, {}, "there is no token"),
        ({}, {"telegram_token_file": file}, "both set"),
        ({"TELEGRAM_TOKEN": SECRET}, {}, "TELEGRAM_TOKEN: must be NUMBER:SECRET"),
        ({"TELEGRAM_TOKEN": ""}, {"telegram_token_file": "nowhere"}, "nowhere.*cannot be read"),
        ({"TELEGRAM_TOKEN": "x" * 101}, {}, "TELEGRAM_TOKEN .environment.: must be text"),
        ({}, {"telegram_alert_margin": "x"}, "TELEGRAM_ALERT_MARGIN.*percentage"),
        ({}, {"telegram_api_base_url": "ftp://x"}, "TELEGRAM_API_BASE_URL: must be http"),
        ({}, {"telegram_chats": "7,x"}, 'TELEGRAM_CHATS: "x" is no chat'),
    ):
        one = bot(system, broker, telegram, wait=False, env=env, **settings)
        one.wait_for_log(what)
        one.wait_for_exit(2)


def test_a_token_on_the_command_line_is_refused_and_not_repeated(system, telegram):
    for flags in ([f"--telegram-token={TOKEN}"], ["--telegram-token", TOKEN]):
        one = system.process("telegram", {}, wait=False, flags=flags)
        one.wait_for_log("flag --telegram-token is refused.*environment variable TELEGRAM_TOKEN")
        one.wait_for_exit(2)


def test_the_token_is_in_no_log_even_if_everything_is_logged_and_everything_fails(system, telegram):
    broker = system.broker()
    one = bot(system, broker, telegram, log_level="trace", env={"http_proxy": ""})
    telegram.next_call("getUpdates", raw=b"")
    telegram.next_call("sendMessage", refuse=(400, "Bad Request: chat not found"))
    telegram.user_sends(ANA, "/ayuda")
    one.wait_for_log("chat not found")
    telegram.user_sends(BEN, "/ayuda")
    telegram.wait_sent(BEN)
    for url in ("http://127.0.0.1:1", "http://name.invalid", "https://127.0.0.1:1"):
        two = bot(system, broker, telegram, wait=False, log_level="trace",
                  telegram_api_base_url=url)
        two.wait_for_log("getMe failed: ")
        two.stop()
    one.stop()  # the fixture looks through all logs
