"""The Telegram bot: many instances act as one bot; each update is answered once, even if instances
are killed."""

import re
import signal
import subprocess
import threading

import pytest

import pregon
from telegram_bots import (
    ANA,
    BEN,
    EN,
    ES,
    GROUP,
    bot,
    locks,
    start,
    telegram,
)  # noqa: F401 (fixtures)

def holder(system, broker, bots):
    """The instance active, as the broker sees it."""
    def look():
        entry = locks(system, broker).get("")
        pid = entry["pid"] if entry and entry["state"] == "held" else 0
        return next((b for b in bots if b.is_running and b.pid == pid), None)

    return pregon.eventually(look, what="an instance that holds the lock")


def check_once_or_marked(texts, what):
    """One message, or two of which the second has the mark "possibly repeated"."""
    copies = [t for t in texts if what in t]
    assert 1 <= len(copies) <= 2, f"{what}: {copies}"
    if len(copies) == 2:
        assert not copies[0].startswith((ES, EN)), copies
        assert copies[1] in (ES + copies[0], EN + copies[0])
    return len(copies)


def test_each_command_is_answered_in_the_language_of_its_sender(system, telegram):
    broker, feed, _ = start(system, telegram)
    feed.quote("BTC/USD", last="1034.50", timestamp=1640995200)
    feed.wait_processed()
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
            telegram.user_sends(chat, text, language=language)
        for chat, (_, answer) in zip((ANA, BEN), pair):
            assert re.search(answer, telegram.wait_sent(chat, n)[-1])
    telegram.user_sends(GROUP, "/precio@another_bot BTC/USD")
    telegram.user_sends(GROUP, "/precio@" + telegram.username + " BTC/USD")
    assert telegram.wait_sent(GROUP) == ["BTC/USD 1034.50, 00:00:00 UTC"]
    telegram.wait_confirmed(telegram.last_update)


def test_a_crossing_is_sent_once_and_again_only_after_the_price_went_back(system, telegram):
    broker, feed, _ = start(system, telegram)
    feed.quote("EUR/USD", last="1.1")
    feed.wait_processed()
    telegram.user_sends(ANA, "/alerta BTC/USD > 50000")
    telegram.user_sends(ANA, "/alerta EUR/USD > 1")
    # With this answer the bot follows both symbols.
    assert telegram.wait_sent(ANA, 3)[2] == "Alerta 2: EUR/USD > 1. Precio: 1.1"
    for last in ("49999", "50000", "50000.00000000000000000001", "50001", "49999", "50002"):
        feed.quote("BTC/USD", last=last)
    feed.wait_processed()
    assert telegram.wait_sent(ANA, 4)[3] == (
        "Alerta 1: BTC/USD > 50000. Precio: 50000.00000000000000000001")
    feed.quote("BTC/USD", last="49950")
    feed.quote("BTC/USD", last="50003")
    assert telegram.wait_sent(ANA, 5)[4] == "Alerta 1: BTC/USD > 50000. Precio: 50003"
    telegram.user_sends(ANA, "/ayuda")
    assert len(telegram.wait_sent(ANA, 6)) == 6


def test_an_alert_that_is_true_already_is_sent_at_once(system, telegram):
    broker, feed, _ = start(system, telegram)
    feed.quote("EUR/USD", bid="1.08", ask="1.09")
    feed.wait_processed()
    telegram.user_sends(ANA, "/precio EUR/USD")
    assert telegram.wait_sent(ANA)[0].startswith("EUR/USD compra 1.08, venta 1.09")
    telegram.user_sends(ANA, "/alerta EUR/USD < 1.10")
    assert telegram.wait_sent(ANA, 3)[2] == "Alerta 1: EUR/USD < 1.10. Precio: 1.09"


def test_only_listed_chats_are_answered_in_the_language_that_is_set(system, telegram):
    broker, feed, one = start(system, telegram, telegram_chats=f"{BEN},{GROUP}",
                             telegram_language="en")
    telegram.user_sends(ANA, "/ayuda")
    telegram.user_sends(BEN, "/ayuda")
    assert telegram.wait_sent(BEN)[0].startswith("Pregón: quotes")
    telegram.user_sends(GROUP, "/ayuda")
    telegram.wait_sent(GROUP)
    assert not telegram.texts(ANA)
    one.wait_for_log("1 messages of chats not in TELEGRAM_CHATS")


def test_whatever_instance_is_killed_every_update_is_answered_and_every_alert_sent_once(
    system, telegram
):
    """Or twice, if a kill fell between a send and its record; then the second one has a mark."""
    broker, feed, _ = start(system, telegram, telegram_lock_ttl=2)
    bots = system.processes[1:] + [bot(system, broker, telegram, telegram_lock_ttl=2)
                                   for _ in range(2)]
    rounds = 6
    chats = [ANA + n for n in range(4)]
    asked, crossed = [], []

    def ask(chat, symbol):
        telegram.user_sends(chat, f"/precio {symbol}", language="es" if chat % 2 else "en")
        asked.append(f" {symbol} ")

    def is_said(what):
        telegram.wait_until(lambda f: any(what in t for t in f.texts()), what)

    for n, symbol in enumerate(["SPIKE"] + [f"A{n}" for n in range(rounds)]):
        telegram.user_sends(chats[n % 4], f"/alerta {symbol} > 100")
        asked.append(f"{symbol} > 100.\n")
        is_said(asked[-1])
    for n in range(rounds):
        victim = holder(system, broker, bots)
        for chat in chats:
            ask(chat, f"Q{n}C{chat}")
        hold = threading.Event()
        # In turn: killed after Telegram accepted a message, before that, and at any moment.
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
        # the price crossed while no instance was active, and went back
        feed.quote("SPIKE", last=f"20{n}")
        feed.quote("SPIKE", last="1")
        crossed.append(f"SPIKE > 100. Precio: 20{n}")
        feed.wait_processed()
        victim.start()
        is_said(crossed[-1])
    for what in asked + crossed:
        is_said(what)
    telegram.wait_confirmed(telegram.last_update)
    twice = sum(check_once_or_marked(telegram.texts(), what) == 2 for what in asked + crossed)
    assert len(telegram.texts()) == len(asked) + len(crossed) + twice
    assert telegram.conflicts == 0


def test_an_instance_that_stops_hands_over_at_once_and_forgets_nothing(system, telegram):
    broker, feed, first = start(system, telegram, telegram_poll_timeout=50, via="first")
    telegram.user_sends(ANA, "/alerta BTC > 100")
    telegram.wait_sent(ANA)
    second = bot(system, broker, telegram, telegram_poll_timeout=50, via="second")
    telegram.wait_until(lambda f: f.waiting, "a long poll")
    hold = threading.Event()
    fault = telegram.next_call("sendMessage", hold=hold, after=True)
    telegram.user_sends(ANA, "/alertas")
    assert fault.was_met.wait(pregon.PATIENCE)
    first.signal(signal.SIGTERM)
    first.wait_for_log("stopping")
    hold.set()  # the send in progress succeeds
    first.wait_for_exit(0)
    second.wait_for_log("active with token .*: 1 alerts, 0 answers")  # though the delay is 50 s
    feed.quote("BTC", last="101")
    assert telegram.wait_sent(ANA, 3) == [
        "Alerta 1: BTC > 100.\nAhora: De BTC no ha llegado ninguna cotización.",
        "Alertas:\n1. BTC > 100", "Alerta 1: BTC > 100. Precio: 101"]
    assert locks(system, broker)[""]["last_lost"] is None


def test_an_instance_that_stops_soon_after_its_start_hands_over_too(system, telegram):
    broker = system.broker(store="sqlite:" + system.path("store"))
    system.feeder(broker, "sim:8?rate=20")  # so that there is a first record when the link is up
    first = bot(system, broker, telegram, telegram_poll_timeout=50)
    pregon.eventually(
        lambda: locks(system, broker)[""]["held_ms"], lambda ms: ms > 1500, "a while active"
    )
    first.stop()
    assert locks(system, broker)[""]["state"] == "free"


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
def test_a_name_that_is_still_being_resolved_delays_no_other_call(system, telegram):
    library = system.path("slow_name.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"], check=True,
                   input=SLOW_NAME.encode())
    waiting = bot(system, system.broker(), telegram, wait=False, env={"LD_PRELOAD": library},
                  telegram_api_base_url="http://telegram.test")
    waiting.wait_for_log("lookup of telegram.test")
    waiting.stop()


def test_an_instance_that_slept_past_its_lease_sends_nothing(system, telegram):
    broker, feed, first = start(system, telegram, telegram_lock_ttl=2, via="first")
    second = bot(system, broker, telegram, telegram_lock_ttl=2, via="second")
    assert holder(system, broker, [first, second]) is first
    telegram.next_call("sendMessage", refuse=(429, "Too Many Requests: retry after 2"),
                       retry_after=2)
    telegram.user_sends(ANA, "/ayuda")
    first.wait_for_log("sendMessage to chat 7: Too Many Requests")
    first.signal(signal.SIGSTOP)  # with an answer to send, as soon as the two seconds are over
    second.wait_for_log("active")
    telegram.wait_sent(ANA)
    here, log = telegram.call_count(), first.log_position()
    first.signal(signal.SIGCONT)
    first.wait_for_log("lock telegram:4242 is lost", after=log)
    first.wait_for_log("standing by", after=log)
    for n in range(2, 5):
        telegram.user_sends(ANA, "/ayuda")
        telegram.wait_sent(ANA, n)
    assert len(telegram.texts(ANA)) == 4
    assert not telegram.calls_by("first", "sendMessage", after=here)
    assert not telegram.calls_by("first", "getUpdates", after=here)
    assert {s.via for s in telegram.sent} == {"second"}


def test_while_the_broker_is_away_no_instance_polls_and_nothing_is_lost(system, telegram):
    broker, feed, one = start(system, telegram, telegram_lock_ttl=2)
    telegram.user_sends(ANA, "/alerta BTC > 100")
    telegram.wait_sent(ANA)
    broker.kill()
    one.wait_for_log(r"lock telegram:4242 is lost \(unanswered\)")
    telegram.user_sends(ANA, "/alertas")
    broker.start()
    assert telegram.wait_sent(ANA, 2)[1] == "Alertas:\n1. BTC > 100"
    feed.quote("BTC", last="101")
    assert telegram.wait_sent(ANA, 3)[2] == "Alerta 1: BTC > 100. Precio: 101"


def test_an_update_is_confirmed_and_answered_only_after_the_broker_has_stored_it(system, telegram):
    broker, feed, one = start(system, telegram, telegram_lock_ttl=2)
    telegram.wait_until(lambda f: f.waiting, "a long poll")
    broker.signal(signal.SIGSTOP)
    here = telegram.call_count()
    number = telegram.user_sends(ANA, "/ayuda")
    one.wait_for_log(r"lock telegram:4242 is lost \(unanswered\)")
    assert not telegram.texts()
    assert not [c for c in telegram.calls_by("", "getUpdates", after=here)
                if int(c.params.get("offset", 0)) > number]
    broker.signal(signal.SIGCONT)
    telegram.wait_sent(ANA)
    telegram.wait_confirmed(number)
    assert len(telegram.texts()) == 1


def test_updates_that_cannot_be_read_are_skipped_and_those_behind_are_answered(system, telegram):
    broker, feed, one = start(system, telegram)
    deep = {"x": 1}
    for _ in range(40):
        deep = {"reply_to_message": deep}
    telegram.user_sends(ANA, "/alertas")
    number = telegram.add_update(message=deep)
    telegram.add_update(edited_message={"chat": {"id": ANA}, "text": "/ayuda"})
    telegram.add_update(my_chat_member={})
    telegram.user_sends(ANA, None, photo=[])
    telegram.user_sends(ANA, "/ayuda")
    assert telegram.wait_sent(ANA, 2)[1].startswith("Pregón")
    one.wait_for_log(f"update {number} cannot be read")
    assert len(telegram.texts()) == 2
    telegram.wait_confirmed(telegram.last_update)


def test_an_update_that_telegram_delivers_twice_is_answered_once(system, telegram):
    broker, feed, _ = start(system, telegram)
    number = telegram.user_sends(ANA, "/ayuda")
    telegram.wait_sent(ANA)
    telegram.wait_confirmed(number)
    telegram.deliver_again(number)
    telegram.user_sends(ANA, "/alertas")
    telegram.wait_sent(ANA, 2)
    telegram.wait_confirmed(telegram.last_update)
    assert len(telegram.texts()) == 2


MIGRATED = (400, "Bad Request: group chat was upgraded to a supergroup chat")


def test_the_alerts_of_a_group_that_became_a_supergroup_go_there(system, telegram):
    broker, feed, _ = start(system, telegram)
    feed.quote("X", last="1")
    feed.wait_processed()
    telegram.user_sends(-300, "/alerta X > 10")
    telegram.user_sends(-300, "/alerta X > 20")
    telegram.wait_sent(-300, 2)
    telegram.next_call("sendMessage", refuse=MIGRATED, migrate_to=-100300)
    feed.quote("X", last="15")
    telegram.wait_sent(-100300, 1, lambda text: "X > 10" in text)
    feed.quote("X", last="25")
    telegram.wait_sent(-100300, 1, lambda text: "X > 20" in text)
    assert len(telegram.texts(-300)) == 2, "nothing more goes to the old number"
    telegram.user_sends(-100300, "/alertas")
    listed = telegram.wait_sent(-100300, 3)[-1]
    assert "1. X > 10" in listed and "2. X > 20" in listed


def test_the_bot_follows_a_group_that_became_a_supergroup(system, telegram):
    broker, feed, _ = start(system, telegram)
    telegram.user_sends(-300, "/alerta X > 10")
    telegram.wait_sent(-300)
    telegram.user_sends(-300, None, migrate_to_chat_id=-100300)
    telegram.wait_confirmed(telegram.last_update)
    feed.quote("X", last="15")
    telegram.wait_sent(-100300, 1, lambda text: "X > 10" in text)


def sends(telegram):
    return [c.params for c in telegram.calls if c.method == "sendMessage"]


def test_answers_and_alerts_go_to_the_thread_of_the_command(system, telegram):
    broker, feed, _ = start(system, telegram)
    telegram.user_sends(-400, "/alerta X > 10", message_thread_id=77)
    telegram.user_sends(-400, "/alerta X > 11")
    telegram.wait_sent(-400, 2)
    feed.quote("X", last="20")
    telegram.wait_sent(-400, 4)
    threads = [(p["text"].split(".")[0], p.get("message_thread_id")) for p in sends(telegram)]
    assert [t for _, t in threads[:2]] == [77, None]
    assert sorted(t or 0 for _, t in threads[2:]) == [0, 77]
    telegram.next_call("sendMessage", refuse=(400, "Bad Request: message thread not found"))
    telegram.user_sends(-400, "/alertas", message_thread_id=78)
    telegram.wait_sent(-400, 5)  # sent outside the thread if the thread no longer exists
    assert [p.get("message_thread_id") for p in sends(telegram)[-2:]] == [78, None]


@pytest.mark.parametrize(
    "refusal",
    [
        (403, "Forbidden: bot was blocked by the user"),
        (403, "Forbidden: user is deactivated"),
        (403, "Forbidden: bot was kicked from the supergroup chat"),
        (400, "Bad Request: chat not found"),
    ],
)
def test_the_alerts_of_a_blocked_chat_pause_until_a_person_writes(
    system, telegram, refusal
):
    broker, feed, one = start(system, telegram)
    telegram.user_sends(ANA, "/alerta X > 10")
    telegram.user_sends(BEN, "/alerta X > 10")
    telegram.wait_sent(ANA), telegram.wait_sent(BEN)
    telegram.next_call("sendMessage", refuse=refusal, chat=ANA)
    for n, last in enumerate(("11", "9", "12", "9", "13"), 1):
        feed.quote("X", last=last)
        if last != "9":
            telegram.wait_sent(BEN, 1 + (n + 1) // 2)
    one.wait_for_log("the alerts of this chat pause until somebody writes there")
    assert [p["chat_id"] for p in sends(telegram)].count(ANA) == 2, "tried once, and never again"

    two = bot(system, broker, telegram)  # the next instance has it too
    one.kill()
    holder(system, broker, [two])
    feed.quote("X", last="9")
    feed.quote("X", last="14")
    telegram.wait_sent(BEN, 5)
    assert [p["chat_id"] for p in sends(telegram)].count(ANA) == 2

    telegram.user_sends(ANA, "/alertas")
    assert "X > 10" in telegram.wait_sent(ANA, 2)[-1]
    feed.quote("X", last="9")
    feed.quote("X", last="15")
    telegram.wait_sent(ANA, 3, lambda text: True)
    assert "15" in telegram.texts(ANA)[-1]
