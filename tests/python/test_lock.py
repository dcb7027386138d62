"""Locks of the Python package."""

import signal

import pytest

import pregon
from programs import Program

TOKEN = "open-sesame"
HEAD = f"""
import asyncio, sys, threading, time
import pregon
URL = sys.argv[1]
def lock(**how):
    return pregon.lock("bot", URL, token="{TOKEN}", **how)
"""


def run(system, python, gateway, code, **how):
    return Program(system, python, HEAD + code, gateway.url, **how)


def state(gateway):
    return gateway.page("locks/bot")["state"]


@pytest.mark.every_python
def test_it_is_taken_held_by_one_and_released(system, python):
    broker, gateway = system.start(locks_token=TOKEN)
    code = """
with lock() as first:
    first.check()
    first.write_value(b"update 17")
    print(first.lost, first.token > 0, first.read_value())
    try:
        with lock(timeout=0):
            print("twice")
    except pregon.LockHeld as e:
        print(e.code, e.body["holder"]["owner"] == first.owner)
async def main():
    async with lock(timeout=30) as second:  # the one who gave up has kept its place for 10 s
        print(second.lost, second.read_value())
asyncio.run(main())
"""
    assert run(system, python, gateway, code).finish().splitlines() == [
        "False True b'update 17'", "held True", "False b'update 17'"]
    assert state(gateway) == "free"


HOLD = """
lost = threading.Event()
with lock(ttl=1.5, on_lost=lambda e: lost.set()) as held:
    print("held", flush=True)
    lost.wait(30 if sys.argv[2:] else None)
    print("lost", held.lost, flush=True)
    try:
        held.check()
    except pregon.LockLost as e:
        print(e.code, flush=True)
"""
ENDED_WELL = "print('nobody noticed')"


def test_a_thread_renews_it_and_the_next_owner_gets_it_after_a_crash(system, python):
    broker, gateway = system.start(locks_token=TOKEN)
    first = run(system, python, gateway, HOLD)
    first.wait_for_log("^held$")
    second = run(system, python, gateway, HOLD)
    pattern = r'"PUT /cotizaciones/locks/bot HTTP/1.1" 200'
    pregon.eventually(lambda: len(gateway.logged(pattern)), lambda n: n >= 5, "renewals")
    assert not second.logged("held") and not first.logged("lost")
    first.kill()
    second.wait_for_log("^held$")
    second.kill()


@pytest.mark.parametrize("how", ["broken", "gateway away", "process stopped"])
def test_its_loss_is_reported_to_the_program(system, python, how):
    broker, gateway = system.start(locks_token=TOKEN)
    program = run(system, python, gateway, HOLD)
    program.wait_for_log("^held$")
    if how == "broken":
        token = gateway.page("locks/bot")["token"]
        assert gateway.get(f"/cotizaciones/locks/bot?break=1&token={token}", "DELETE",
                           {"Authorization": "Bearer " + TOKEN}).status == 200
    elif how == "gateway away":
        gateway.kill()
    else:
        program.signal(signal.SIGSTOP)
        pregon.eventually(lambda: state(gateway), lambda s: s == "free")
        program.signal(signal.SIGCONT)
    program.wait_for_log("^lost True$")
    program.wait_for_log(r"^(lock_lost|stale)$")
    program.wait_for_log("LockLost")  # from the end of `with`
    program.wait_for_exit(1)


def test_a_wrong_token_is_an_exception(system, python):
    broker, gateway = system.start(locks_token="another")
    code = """
try:
    with lock():
        pass
except pregon.Refused as e:
    print(e.code, bool(e.hint))
"""
    assert run(system, python, gateway, code).finish() == "unauthorized True"


def test_a_task_that_is_cancelled_while_it_waits_takes_no_lock(system, python):
    broker, gateway = system.start(locks_token=TOKEN)
    code = """
async def main():
    async with lock():
        async def wait():
            async with lock():
                print("twice")
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0.3)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled")
asyncio.run(main())
"""
    assert run(system, python, gateway, code).finish() == "cancelled"
    assert state(gateway) == "free"
