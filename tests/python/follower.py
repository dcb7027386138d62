"""One follower of the package as a program; prints a line of JSON for each event.

usage: follower.py '{"urls": …, "is_sync": …, …options of follow}'
"""

import asyncio
import dataclasses
import json
import sys

import pregon

options = json.loads(sys.argv[1])
urls, is_sync = options.pop("urls"), options.pop("is_sync")
stop_at = options.pop("stop", None)
shows_positions = options.pop("positions", False)


def plain(value):
    if isinstance(value, pregon.PregonError):
        return {"code": value.code, "message": value.message, "hint": value.hint,
                "status": value.status}
    return str(value)


def show(kind, event):
    fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(event)}
    print(json.dumps([kind, {**fields, "text": str(event)} if kind == "quote" else fields],
                     default=plain), flush=True)


for kind in ("state", "lost", "reset", "status"):
    options["on_" + kind] = lambda event, kind=kind: show(kind, event)


def take(quote, position):
    show("quote", quote)
    if position and shows_positions:
        print(json.dumps(["position", {"at": str(position)}]), flush=True)
    return stop_at == str(quote.last)


async def follow():
    follower = pregon.follow(urls, **options)
    async for quote in follower:
        if take(quote, follower.position):
            await follower.aclose()


def follow_sync():
    with pregon.follow_sync(urls, **options) as follower:
        for quote in follower:
            if take(quote, follower.position):
                break


try:
    follow_sync() if is_sync else asyncio.run(follow())
    print(json.dumps(["end", {}]))
except pregon.Refused as e:
    print(json.dumps(["refused", plain(e)]))
