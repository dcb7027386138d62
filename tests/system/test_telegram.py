"""The Telegram bot: many instances, one bot; everything answered once, whatever dies."""

import re

import pytest

import pregon
from fake_telegram import TOKEN, FakeTelegram

ANA, BEN, GROUP = 7, 8, -1009
LOCK = "telegram:" + TOKEN.split(":")[0]


@pytest.fixture
def telegram(stage):
    return stage._with(FakeTelegram())


def bot(stage, broker, telegram, wait=True, env=None, **settings):
    """An instance, with times short enough for a story."""
    defaults = {"telegram_lock_ttl": 4, "telegram_poll_timeout": 1, "telegram_poll_margin": 0.5,
                "telegram_api_base_url": telegram.url,
                **{k: broker.settings[k] for k in ("broker_publish", "broker_control")}}
    return stage.process("telegram", {**defaults, **settings}, wait,
                         env={"TELEGRAM_TOKEN": TOKEN, **(env or {})})


def play(stage, telegram, **settings):
    broker = stage.broker(store="sqlite:" + stage.path("store"))
    feed = stage.feed(broker)
    return broker, feed, bot(stage, broker, telegram, **settings)


def test_each_command_is_answered_in_the_language_of_who_asks(stage, telegram):
    broker, feed, _ = play(stage, telegram)
    feed.quote("BTC/USD", last="1034.50", timestamp=1640995200)
    feed.settled()
    for chat, language, commands in (
        (ANA, "es", [
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
        ]),
        (BEN, "en", [
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
        ]),
    ):
        for n, (text, answer) in enumerate(commands, 1):
            telegram.hears(chat, text, language=language)
            assert re.search(answer, telegram.said(chat, n)[-1])
    telegram.hears(GROUP, "/precio@another_bot BTC/USD")
    telegram.hears(GROUP, "/precio@" + telegram.username + " BTC/USD")
    assert telegram.said(GROUP) == ["BTC/USD 1034.50, 00:00:00 UTC"]
    telegram.is_confirmed(telegram.last_update)


def test_a_crossing_is_told_once_and_again_only_after_the_price_went_back(stage, telegram):
    broker, feed, _ = play(stage, telegram)
    telegram.hears(ANA, "/alerta BTC/USD > 50000")
    telegram.said(ANA)
    for last in ("49999", "50000", "50000.00000000000000000001", "50001", "49999", "50002"):
        feed.quote("BTC/USD", last=last)
    feed.settled()
    assert telegram.said(ANA, 2)[1] == (
        "Alerta 1: BTC/USD > 50000. Precio: 50000.00000000000000000001")
    feed.quote("BTC/USD", last="49950")
    feed.quote("BTC/USD", last="50003")
    assert telegram.said(ANA, 3)[2] == "Alerta 1: BTC/USD > 50000. Precio: 50003"
    telegram.hears(ANA, "/ayuda")
    assert len(telegram.said(ANA, 4)) == 4
