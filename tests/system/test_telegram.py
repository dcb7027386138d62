"""The Telegram bot: many instances, one bot; everything answered once, whatever dies."""

import collections
import json
import re
import signal
import subprocess
import threading
import urllib.request

import pytest

import pregon
from fake_telegram import TERMINATED, TOKEN, FakeTelegram

ANA, BEN, GROUP = 7, 8, -1009
SECRET = TOKEN.split(":")[1]
LOCK = "telegram:" + TOKEN.split(":")[0]
ES, EN = "(posiblemente repetido) ", "(possibly repeated) "


@pytest.fixture
def telegram(stage):
    fake = stage._with(FakeTelegram())
    yield fake
    told = [f"{p.name}: {text}" for p in stage.processes for text in p.log() if SECRET in text]
    assert not told, "the token stands in a log"


def bot(stage, broker, telegram, wait=True, env=None, via="", **settings):
    """An instance, with times short enough for a story."""
    defaults = {"telegram_lock_ttl": 4, "telegram_poll_timeout": 3, "telegram_poll_margin": 0.5,
                "telegram_api_base_url": telegram.url + (via and "/" + via),
                **{k: broker.settings[k] for k in ("broker_publish", "broker_control")}}
    process = stage.process("telegram", {**defaults, **settings}, wait,
                            env={"TELEGRAM_TOKEN": TOKEN, **(env or {})})
    with open(f"/proc/{process.pid}/cmdline", "rb") as f:
        assert SECRET.encode() not in f.read()
    return process


def play(stage, telegram, **settings):
    broker = stage.broker(store="sqlite:" + stage.path("store"))
    feed = stage.feed(broker)
    return broker, feed, bot(stage, broker, telegram, **settings)


def locks(stage, broker, prefix=LOCK):
    """Entries of the bot's locks by name, without the part all have."""
    control = stage.control(broker)
    return {e["name"].removeprefix(LOCK): e for e in control.ask("locks", prefix=prefix)["locks"]}


def holder(stage, broker, bots):
    """The instance active, as the broker sees it."""
    def look():
        entry = locks(stage, broker).get("")
        pid = entry["pid"] if entry and entry["state"] == "held" else 0
        return next((b for b in bots if b.is_running and b.pid == pid), None)

    return pregon.eventually(look, what="an instance that holds the lock")


def check_once_or_marked(texts, what):
    """One copy, or two of which the second says that it may be one."""
    copies = [t for t in texts if what in t]
    assert 1 <= len(copies) <= 2, f"{what}: {copies}"
    if len(copies) == 2:
        assert not copies[0].startswith((ES, EN)), copies
        assert copies[1] in (ES + copies[0], EN + copies[0])
    return len(copies)


def test_each_command_is_answered_in_the_language_of_who_asks(stage, telegram):
    broker, feed, _ = play(stage, telegram)
    feed.quote("BTC/USD", last="1034.50", timestamp=1640995200)
    feed.settled()
    spanish = [
        ("/start", r"^Pregón: cotizaciones y alertas"),
        ("/ayuda", r"/borrar N"),
        ("/precio btc/usd", r"^BTC/USD 1034\.50, 00:00:00 UTC$"),
        ("/precio NADA", r"^De NADA no ha llegado ninguna cotización\.$"),
        ("/precio", r"^Falta el símbolo"),
        ("/alerta btc/usd>=2000,5", r"^Alerta 1: BTC/USD >= 2000\.5\.\nAhora: BTC/USD 1034\.50"),
        ("/alertas", r"^Alertas:\n1\. BTC/USD >= 2000\.5$"),
        ("/borrar 1", r"^Borrada la alerta 1: BTC/USD >= 2000\.5$"),
        ("/borrar 1", r"^No hay alerta 1"),
        ("/alertas", r"^No hay alertas"),
    ]
    english = [
        ("/start", r"^Pregón: quotes and alerts"),
        ("/help", r"/delete N"),
        ("/price btc/usd", r"^BTC/USD 1034\.50, 00:00:00 UTC$"),
        ("/price NADA", r"^No quote of NADA has ever come\.$"),
        ("/alert BTC/USD", r"^After the symbol one of"),
        ("/alert BTC/USD < 1000", r"^Alert 1: BTC/USD < 1000\.\nNow: BTC/USD 1034\.50"),
        ("/alerts", r"^Alerts:\n1\. BTC/USD < 1000$"),
        ("/delete 1", r"^Deleted alert 1: BTC/USD < 1000$"),
        ("/delete x", r"^The alert's number is missing"),
        ("hello", r"^I do not know that command"),
    ]
    for n, pair in enumerate(zip(spanish, english), 1):
        for chat, language, (text, _) in zip((ANA, BEN), ("es", "en"), pair):
            telegram.hears(chat, text, language=language)
        for chat, (_, answer) in zip((ANA, BEN), pair):
            assert re.search(answer, telegram.said(chat, n)[-1])
    telegram.hears(GROUP, "/precio@another_bot BTC/USD")
    telegram.hears(GROUP, "/precio@" + telegram.username + " BTC/USD")
    assert telegram.said(GROUP) == ["BTC/USD 1034.50, 00:00:00 UTC"]
    telegram.is_confirmed(telegram.last_update)


def test_a_crossing_is_told_once_and_again_only_after_the_price_went_back(stage, telegram):
    broker, feed, _ = play(stage, telegram)
    feed.quote("EUR/USD", last="1.1")
    feed.settled()
    telegram.hears(ANA, "/alerta BTC/USD > 50000")
    telegram.hears(ANA, "/alerta EUR/USD > 1")
    assert telegram.said(ANA, 3)[2] == "Alerta 2: EUR/USD > 1. Precio: 1.1"  # so both are followed
    for last in ("49999", "50000", "50000.00000000000000000001", "50001", "49999", "50002"):
        feed.quote("BTC/USD", last=last)
    feed.settled()
    assert telegram.said(ANA, 4)[3] == (
        "Alerta 1: BTC/USD > 50000. Precio: 50000.00000000000000000001")
    feed.quote("BTC/USD", last="49950")
    feed.quote("BTC/USD", last="50003")
    assert telegram.said(ANA, 5)[4] == "Alerta 1: BTC/USD > 50000. Precio: 50003"
    telegram.hears(ANA, "/ayuda")
    assert len(telegram.said(ANA, 6)) == 6


def test_an_alert_that_is_true_already_is_told_at_once(stage, telegram):
    broker, feed, _ = play(stage, telegram)
    feed.quote("EUR/USD", bid="1.08", ask="1.09")
    feed.settled()
    telegram.hears(ANA, "/precio EUR/USD")
    assert telegram.said(ANA)[0].startswith("EUR/USD compra 1.08, venta 1.09")
    telegram.hears(ANA, "/alerta EUR/USD < 1.10")
    assert telegram.said(ANA, 3)[2] == "Alerta 1: EUR/USD < 1.10. Precio: 1.09"


def test_only_listed_chats_are_answered_in_the_language_that_is_set(stage, telegram):
    broker, feed, one = play(stage, telegram, telegram_chats=f"{BEN},{GROUP}",
                             telegram_language="en")
    telegram.hears(ANA, "/ayuda")
    telegram.hears(BEN, "/ayuda")
    assert telegram.said(BEN)[0].startswith("Pregón: quotes")
    telegram.hears(GROUP, "/ayuda")
    telegram.said(GROUP)
    assert not telegram.texts(ANA)
    one.says("1 messages of chats not in TELEGRAM_CHATS")


# --- dying ------------------------------------------------------------------------------


def test_whoever_is_killed_every_update_is_answered_and_every_alert_told_once(stage, telegram):
    """Or twice, where a kill fell between a send and its record, and the second says so."""
    broker, feed, _ = play(stage, telegram, telegram_lock_ttl=2)
    bots = stage.processes[1:] + [bot(stage, broker, telegram, telegram_lock_ttl=2)
                                  for _ in range(2)]
    rounds = 6
    chats = [ANA + n for n in range(4)]
    asked, crossed = [], []

    def ask(chat, symbol):
        telegram.hears(chat, f"/precio {symbol}", language="es" if chat % 2 else "en")
        asked.append(f" {symbol} ")

    def is_said(what):
        telegram.is_told(lambda f: any(what in t for t in f.texts()), what)

    for n, symbol in enumerate(["SPIKE"] + [f"A{n}" for n in range(rounds)]):
        telegram.hears(chats[n % 4], f"/alerta {symbol} > 100")
        asked.append(f"{symbol} > 100.\n")
        is_said(asked[-1])
    for n in range(rounds):
        victim = holder(stage, broker, bots)
        for chat in chats:
            ask(chat, f"Q{n}C{chat}")
        hold = threading.Event()
        # In turn: killed after Telegram took a message, before it did, and at any moment.
        fault = (telegram.next_call("sendMessage", hold=hold, after=True) if n % 3 == 0 else
                 telegram.next_call("sendMessage", hold=hold, raw=b"") if n % 3 == 1 else None)
        feed.quote(f"A{n}", last=f"10{n}.5")
        crossed.append(f"A{n} > 100. Precio: 10{n}.5")
        if fault:
            assert fault.was_met.wait(pregon.PATIENCE)
        victim.kill()
        hold.set()
        if n in (2, 3):
            broker.kill()
            ask(chats[n % 4], f"R{n}")
            broker.start()
        ask(chats[n % 4], f"S{n}")
        feed.quote("SPIKE", last=f"20{n}")  # crossed while nobody is active, and back again
        feed.quote("SPIKE", last="1")
        crossed.append(f"SPIKE > 100. Precio: 20{n}")
        feed.settled()
        victim.start()
        is_said(crossed[-1])
    for what in asked + crossed:
        is_said(what)
    telegram.is_confirmed(telegram.last_update)
    twice = sum(check_once_or_marked(telegram.texts(), what) == 2 for what in asked + crossed)
    assert len(telegram.texts()) == len(asked) + len(crossed) + twice
    assert telegram.conflicts == 0


def test_an_instance_that_stops_hands_over_at_once_and_forgets_nothing(stage, telegram):
    broker, feed, first = play(stage, telegram, telegram_poll_timeout=50, via="first")
    telegram.hears(ANA, "/alerta BTC > 100")
    telegram.said(ANA)
    second = bot(stage, broker, telegram, telegram_poll_timeout=50, via="second")
    telegram.is_told(lambda f: f.waiting, "a long poll")
    hold = threading.Event()
    fault = telegram.next_call("sendMessage", hold=hold, after=True)
    telegram.hears(ANA, "/alertas")
    assert fault.was_met.wait(pregon.PATIENCE)
    first.signal(signal.SIGTERM)
    first.says("stopping")
    hold.set()  # what was being sent ends well
    first.ends(0)
    second.says("active with token .*: 1 alerts, 0 answers")  # though the delay is 50 s
    feed.quote("BTC", last="101")
    assert telegram.said(ANA, 3) == ["Alerta 1: BTC > 100.\nAhora: De BTC no ha llegado ninguna "
                                     "cotización.", "Alertas:\n1. BTC > 100",
                                     "Alerta 1: BTC > 100. Precio: 101"]
    assert locks(stage, broker)[""]["last_lost"] is None


def test_an_instance_that_stops_soon_after_its_start_hands_over_too(stage, telegram):
    broker = stage.broker(store="sqlite:" + stage.path("store"))
    stage.feeder(broker, "sim:8?rate=20")  # so that there is a first record when the link comes up
    first = bot(stage, broker, telegram, telegram_poll_timeout=50)
    pregon.eventually(lambda: locks(stage, broker)[""]["held_ms"], lambda ms: ms > 1500, "a while active")
    first.stop()
    assert locks(stage, broker)[""]["state"] == "free"


# Preloaded, it makes the lookup of this name take an hour.
SLOW_NAME = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    if (name && strcmp(name, "telegram.test") == 0) {
        fprintf(stderr, "lookup of %s\\n", name);
        sleep(3600);
    }
    return next(name, service, hints, out);
}
"""


@pytest.mark.skipif(pregon.IS_SANITIZED, reason="a sanitizer must come before what is preloaded")
def test_a_name_that_is_still_being_looked_up_holds_nobody_up(stage, telegram):
    library = stage.path("slow_name.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"], check=True,
                   input=SLOW_NAME.encode())
    waiting = bot(stage, stage.broker(), telegram, wait=False, env={"LD_PRELOAD": library},
                  telegram_api_base_url="http://telegram.test")
    waiting.says("lookup of telegram.test")
    waiting.stop()


def test_an_instance_that_slept_past_its_lease_sends_nothing(stage, telegram):
    broker, feed, first = play(stage, telegram, telegram_lock_ttl=2, via="first")
    second = bot(stage, broker, telegram, telegram_lock_ttl=2, via="second")
    assert holder(stage, broker, [first, second]) is first
    telegram.next_call("sendMessage", refuse=(429, "Too Many Requests: retry after 2"),
                       retry_after=2)
    telegram.hears(ANA, "/ayuda")
    first.says("sendMessage to chat 7: Too Many Requests")
    first.signal(signal.SIGSTOP)  # with an answer to send, as soon as the two seconds are over
    second.says("active")
    telegram.said(ANA)
    here, log = telegram.here(), first.here()
    first.signal(signal.SIGCONT)
    first.says("lock telegram:4242 is lost", after=log)
    first.says("standing by", after=log)
    for n in range(2, 5):
        telegram.hears(ANA, "/ayuda")
        telegram.said(ANA, n)
    assert len(telegram.texts(ANA)) == 4
    assert not telegram.calls_by("first", "sendMessage", after=here)
    assert not telegram.calls_by("first", "getUpdates", after=here)
    assert {s.via for s in telegram.sent} == {"second"}


def test_while_the_broker_is_away_nobody_polls_and_nothing_is_lost(stage, telegram):
    broker, feed, one = play(stage, telegram, telegram_lock_ttl=2)
    telegram.hears(ANA, "/alerta BTC > 100")
    telegram.said(ANA)
    broker.kill()
    one.says(r"lock telegram:4242 is lost \(unanswered\)")
    telegram.hears(ANA, "/alertas")
    broker.start()
    assert telegram.said(ANA, 2)[1] == "Alertas:\n1. BTC > 100"
    feed.quote("BTC", last="101")
    assert telegram.said(ANA, 3)[2] == "Alerta 1: BTC > 100. Precio: 101"


def test_an_update_is_confirmed_and_answered_only_after_the_broker_has_stored_it(stage, telegram):
    broker, feed, one = play(stage, telegram, telegram_lock_ttl=2)
    telegram.is_told(lambda f: f.waiting, "a long poll")
    broker.signal(signal.SIGSTOP)
    here = telegram.here()
    number = telegram.hears(ANA, "/ayuda")
    one.says(r"lock telegram:4242 is lost \(unanswered\)")
    assert not telegram.texts()
    assert not [c for c in telegram.calls_by("", "getUpdates", after=here)
                if int(c.params.get("offset", 0)) > number]
    broker.signal(signal.SIGCONT)
    telegram.said(ANA)
    telegram.is_confirmed(number)
    assert len(telegram.texts()) == 1


# --- Telegram in a bad mood ----------------------------------------------------------------


def test_a_429_is_obeyed_and_what_it_refused_is_sent_once_and_unmarked(stage, telegram):
    broker, feed, _ = play(stage, telegram)
    telegram.next_call("sendMessage", refuse=(429, "Too Many Requests: retry after 2"),
                       retry_after=2)
    telegram.hears(ANA, "/ayuda")
    telegram.hears(ANA, "/alertas")
    first, second = telegram.said(ANA, 2)
    assert first.startswith("Pregón") and second.startswith("No hay alertas")
    calls = telegram.calls_by("", "sendMessage")
    assert len(calls) == 3
    assert calls[1].at - calls[0].at >= 1.99, "it came back before it might"


def test_a_group_is_never_told_more_than_telegram_allows(stage):
    telegram = stage._with(FakeTelegram(limits={"all": (30, 1), "group": (20, 60)}))
    broker, feed, _ = play(stage, telegram)
    for n in range(10):
        telegram.hears(GROUP, f"/precio@{telegram.username} G{n}")
    for chat in range(100, 140):
        telegram.hears(chat, "/ayuda")
    telegram.is_told(lambda f: len({s.chat for s in f.sent if s.chat > 0}) == 40, "40 chats")
    telegram.said(GROUP, 6)
    assert telegram.over_limit == 0


def test_a_chat_that_floods_gets_its_first_answers_and_the_rest_is_counted(stage, telegram):
    broker, feed, one = play(stage, telegram)
    telegram.next_call("sendMessage", refuse=(429, "Too Many Requests: retry after 1"),
                       retry_after=1)
    for n in range(15):
        telegram.hears(ANA, f"/precio F{n}")
    telegram.is_confirmed(telegram.last_update)
    one.says(r"not delivered or not answered: \d+ commands not taken of chats that flood")
    telegram.said(ANA, 5)
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
def test_whatever_telegram_answers_the_bot_comes_back_to_its_work(stage, telegram, how):
    broker, feed, one = play(stage, telegram)
    faults = [telegram.next_call(m, **how) for m in ("getUpdates", "sendMessage")]
    telegram.hears(ANA, "/ayuda")
    telegram.hears(BEN, "/precio X", language="en")
    telegram.said(ANA), telegram.said(BEN)
    assert all(fault.was_met.is_set() for fault in faults)
    one.says("sendMessage to chat .: .*; it may have arrived")
    assert [t.startswith((ES, EN)) for t in telegram.texts()].count(True) == 1
    assert len(telegram.texts()) == 2


def test_a_message_that_was_taken_without_an_answer_is_repeated_once_and_says_so(stage, telegram):
    broker, feed, _ = play(stage, telegram)
    telegram.next_call("sendMessage", raw=b"", after=True)
    telegram.hears(ANA, "/precio X")
    first, second = telegram.said(ANA, 2)
    assert second == ES + first
    telegram.hears(ANA, "/alertas")
    assert len(telegram.said(ANA, 3)) == 3


def test_what_telegram_will_never_take_is_dropped_and_told(stage, telegram):
    broker, feed, one = play(stage, telegram)
    telegram.next_call("sendMessage", refuse=(403, "Forbidden: bot was blocked by the user"))
    telegram.hears(ANA, "/ayuda")
    one.says("Forbidden: bot was blocked by the user; it is dropped")
    one.says("not delivered or not answered: 1 messages Telegram refuses")
    telegram.hears(BEN, "/ayuda")
    telegram.said(BEN)
    assert not telegram.texts(ANA)


def test_updates_that_cannot_be_read_are_skipped_and_those_behind_are_answered(stage, telegram):
    broker, feed, one = play(stage, telegram)
    deep = {"x": 1}
    for _ in range(40):
        deep = {"reply_to_message": deep}
    telegram.hears(ANA, "/alertas")
    number = telegram.happens(message=deep)
    telegram.happens(edited_message={"chat": {"id": ANA}, "text": "/ayuda"})
    telegram.happens(my_chat_member={})
    telegram.hears(ANA, None, photo=[])
    telegram.hears(ANA, "/ayuda")
    assert telegram.said(ANA, 2)[1].startswith("Pregón")
    one.says(f"update {number} cannot be read")
    assert len(telegram.texts()) == 2
    telegram.is_confirmed(telegram.last_update)


def test_an_update_that_telegram_delivers_twice_is_answered_once(stage, telegram):
    broker, feed, _ = play(stage, telegram)
    number = telegram.hears(ANA, "/ayuda")
    telegram.said(ANA)
    telegram.is_confirmed(number)
    telegram.deliver_again(number)
    telegram.hears(ANA, "/alertas")
    telegram.said(ANA, 2)
    telegram.is_confirmed(telegram.last_update)
    assert len(telegram.texts()) == 2


# --- somebody else -----------------------------------------------------------------------


def poll(telegram, **params):
    url = f"{telegram.url}/foreign/bot{TOKEN}/getUpdates?" + urllib.parse.urlencode(params)
    try:
        return json.load(urllib.request.urlopen(url))
    except urllib.error.HTTPError as e:
        return json.load(e)
    except OSError:
        return None  # the story is over


def test_a_foreign_poller_is_named_seen_in_the_locks_and_takes_no_update_from_us(stage, telegram):
    broker, feed, one = play(stage, telegram)
    gateway = stage.gateway(broker)
    telegram.is_told(lambda f: f.waiting, "a long poll")
    is_over = threading.Event()

    def steal():
        while not is_over.is_set():
            poll(telegram, timeout=1)

    thief = threading.Thread(target=steal, daemon=True)
    thief.start()
    one.says(f"409 .{re.escape(TERMINATED)}.: another program polls this bot with the same token "
             ".* the broker has just confirmed that the lock telegram:4242 is ours")
    shown = pregon.eventually(
        lambda: {l["name"]: l for l in gateway.page("telegram_locks_status")["locks"]},
        lambda l: LOCK + ":conflict" in l, "the alarm on the page of locks")
    assert [(l["state"], l["pid"]) for l in shown.values()] == [("held", one.pid)] * 2
    for n in range(3):
        telegram.hears(ANA, f"/precio T{n}")
        telegram.said(ANA, n + 1)
    is_over.set()
    one.says("no 409 for a while")
    pregon.eventually(lambda: locks(stage, broker)[":conflict"]["state"], lambda s: s == "free",
                      "the end of the alarm")
    thief.join()
    assert len(one.logged("another program polls")) == 1
    assert len(telegram.texts()) == 3


def test_a_webhook_is_named_and_polling_goes_on_when_it_is_gone(stage, telegram):
    broker, feed, one = play(stage, telegram)
    telegram.webhook = "https://example.org/hook"
    one.says("a webhook is set for this bot")
    pregon.eventually(lambda: locks(stage, broker), lambda l: ":webhook" in l, "the alarm")
    telegram.hears(ANA, "/ayuda")
    telegram.webhook = ""
    telegram.said(ANA)


# --- the token ---------------------------------------------------------------------------


def test_a_token_that_is_not_valid_ends_the_program_with_a_sentence(stage, telegram):
    broker = stage.broker()
    one = bot(stage, broker, telegram, wait=False, env={"TELEGRAM_TOKEN": "4242:other"})
    one.says("Telegram answers 401 .Unauthorized.: the token of TELEGRAM_TOKEN or "
             "TELEGRAM_TOKEN_FILE is not valid")
    one.ends(1)
    two = bot(stage, broker, telegram)
    telegram.token = "4242:revoked"
    two.says("Telegram answers 401")
    two.ends(1)
    pregon.eventually(lambda: locks(stage, broker)[""]["state"], lambda s: s == "free")


def test_without_a_network_it_names_the_host_and_says_that_it_goes_on(stage, telegram):
    broker = stage.broker()
    one = bot(stage, broker, telegram, wait=False,
              telegram_api_base_url="http://127.0.0.1:1")
    one.says(r"getMe failed: 127\.0\.0\.1:1: .*; going on trying$")
    one.stop()


def test_the_token_comes_from_the_environment_or_a_file_and_nowhere_else(stage, telegram):
    broker = stage.broker()
    file = stage.path("token", TOKEN + "\n")
    bot(stage, broker, telegram, env={"TELEGRAM_TOKEN": ""}, telegram_token_file=file).stop()
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
        one = bot(stage, broker, telegram, wait=False, env=env, **settings)
        one.says(what)
        one.ends(2)


def test_a_token_on_the_command_line_is_refused_and_not_repeated(stage, telegram):
    for flags in ([f"--telegram-token={TOKEN}"], ["--telegram-token", TOKEN]):
        one = stage.process("telegram", {}, wait=False, flags=flags)
        one.says("flag --telegram-token is refused.*environment variable TELEGRAM_TOKEN")
        one.ends(2)


def test_the_token_is_in_no_log_even_if_everything_is_logged_and_everything_fails(stage, telegram):
    broker = stage.broker()
    one = bot(stage, broker, telegram, log_level="trace", env={"http_proxy": ""})
    telegram.next_call("getUpdates", raw=b"")
    telegram.next_call("sendMessage", refuse=(400, "Bad Request: chat not found"))
    telegram.hears(ANA, "/ayuda")
    one.says("chat not found")
    telegram.hears(BEN, "/ayuda")
    telegram.said(BEN)
    for url in ("http://127.0.0.1:1", "http://name.invalid", "https://127.0.0.1:1"):
        two = bot(stage, broker, telegram, wait=False, log_level="trace",
                  telegram_api_base_url=url)
        two.says("getMe failed: ")
        two.stop()
    one.stop()  # the fixture looks through all logs


# --- chats that move, have threads, or take no messages ------------------------------------

MIGRATED = (400, "Bad Request: group chat was upgraded to a supergroup chat")


def test_the_alerts_of_a_group_that_became_a_supergroup_go_there(stage, telegram):
    broker, feed, _ = play(stage, telegram)
    feed.quote("X", last="1")
    feed.settled()
    telegram.hears(-300, "/alerta X > 10")
    telegram.hears(-300, "/alerta X > 20")
    telegram.said(-300, 2)
    telegram.next_call("sendMessage", refuse=MIGRATED, migrate_to=-100300)
    feed.quote("X", last="15")
    telegram.said(-100300, 1, lambda text: "X > 10" in text)
    feed.quote("X", last="25")
    telegram.said(-100300, 1, lambda text: "X > 20" in text)
    assert len(telegram.texts(-300)) == 2, "nothing more goes to the old number"
    telegram.hears(-100300, "/alertas")
    listed = telegram.said(-100300, 3)[-1]
    assert "1. X > 10" in listed and "2. X > 20" in listed


def test_a_group_that_says_it_became_a_supergroup_is_believed(stage, telegram):
    broker, feed, _ = play(stage, telegram)
    telegram.hears(-300, "/alerta X > 10")
    telegram.said(-300)
    telegram.hears(-300, None, migrate_to_chat_id=-100300)
    telegram.is_confirmed(telegram.last_update)
    feed.quote("X", last="15")
    telegram.said(-100300, 1, lambda text: "X > 10" in text)


def sends(telegram):
    return [c.params for c in telegram.calls if c.method == "sendMessage"]


def test_answers_and_alerts_go_to_the_thread_that_asked(stage, telegram):
    broker, feed, _ = play(stage, telegram)
    telegram.hears(-400, "/alerta X > 10", message_thread_id=77)
    telegram.hears(-400, "/alerta X > 11")
    telegram.said(-400, 2)
    feed.quote("X", last="20")
    telegram.said(-400, 4)
    threads = [(p["text"].split(".")[0], p.get("message_thread_id")) for p in sends(telegram)]
    assert [t for _, t in threads[:2]] == [77, None]
    assert sorted(t or 0 for _, t in threads[2:]) == [0, 77]
    telegram.next_call("sendMessage", refuse=(400, "Bad Request: message thread not found"))
    telegram.hears(-400, "/alertas", message_thread_id=78)
    telegram.said(-400, 5)  # outside of the thread, if there is none any more
    assert [p.get("message_thread_id") for p in sends(telegram)[-2:]] == [78, None]


@pytest.mark.parametrize("refusal", [
    (403, "Forbidden: bot was blocked by the user"), (403, "Forbidden: user is deactivated"),
    (403, "Forbidden: bot was kicked from the supergroup chat"), (400, "Bad Request: chat not found"),
])
def test_the_alerts_of_a_chat_that_takes_no_messages_pause_until_somebody_writes(stage, telegram, refusal):
    broker, feed, one = play(stage, telegram)
    telegram.hears(ANA, "/alerta X > 10")
    telegram.hears(BEN, "/alerta X > 10")
    telegram.said(ANA), telegram.said(BEN)
    telegram.next_call("sendMessage", refuse=refusal, chat=ANA)
    for n, last in enumerate(("11", "9", "12", "9", "13"), 1):
        feed.quote("X", last=last)
        if last != "9":
            telegram.said(BEN, 1 + (n + 1) // 2)
    one.says("the alerts of this chat pause until somebody writes there")
    assert [p["chat_id"] for p in sends(telegram)].count(ANA) == 2, "tried once, and never again"

    two = bot(stage, broker, telegram)  # a successor knows
    one.kill()
    holder(stage, broker, [two])
    feed.quote("X", last="9")
    feed.quote("X", last="14")
    telegram.said(BEN, 5)
    assert [p["chat_id"] for p in sends(telegram)].count(ANA) == 2

    telegram.hears(ANA, "/alertas")
    assert "X > 10" in telegram.said(ANA, 2)[-1]
    feed.quote("X", last="9")
    feed.quote("X", last="15")
    telegram.said(ANA, 3, lambda text: True)
    assert "15" in telegram.texts(ANA)[-1]
