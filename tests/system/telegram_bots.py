"""Instances of the Telegram bot beside a fake Telegram."""

import pytest

from fake_telegram import TOKEN, FakeTelegram

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
    """An instance, with times short enough for a test."""
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
