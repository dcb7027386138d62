"""Instances of the Telegram bot beside a fake Telegram."""

import pytest

from fake_telegram import TOKEN, FakeTelegram

ANA, BEN, GROUP = 7, 8, -1009
SECRET = TOKEN.split(":")[1]
LOCK = "telegram:" + TOKEN.split(":")[0]
ES, EN = "(posiblemente repetido) ", "(possibly repeated) "


@pytest.fixture
def telegram(system):
    fake = system.add(FakeTelegram())
    yield fake
    told = [f"{p.name}: {text}" for p in system.processes for text in p.log() if SECRET in text]
    assert not told, "the token stands in a log"


def bot(system, broker, telegram, wait=True, env=None, via="", **settings):
    """An instance, with times short enough for a test."""
    defaults = {"telegram_lock_ttl": 4, "telegram_poll_timeout": 3, "telegram_poll_margin": 0.5,
                "telegram_api_base_url": telegram.url + (via and "/" + via),
                **{k: broker.settings[k] for k in ("broker_publish", "broker_control")}}
    process = system.process("telegram", {**defaults, **settings}, wait,
                             env={"TELEGRAM_TOKEN": TOKEN, **(env or {})})
    with open(f"/proc/{process.pid}/cmdline", "rb") as f:
        assert SECRET.encode() not in f.read()
    return process


def start(system, telegram, **settings):
    broker = system.broker(store="sqlite:" + system.path("store"))
    feed = system.feed(broker)
    return broker, feed, bot(system, broker, telegram, **settings)


def locks(system, broker, prefix=LOCK):
    """Entries of the bot's locks by name, without the part all have."""
    control = system.control(broker)
    entries = control.request("locks", prefix=prefix)["locks"]
    return {e["name"].removeprefix(LOCK): e for e in entries}
