"""Follow quotes over WebSocket, reconnect after every interruption, and resume where it was.

usage: /usr/bin/python3 stream.py    (python3-websockets of Debian 12, or a newer one)
Add &mode=all to the query at the end to receive every quote; without, a slow client gets the newest
values.
"""

import asyncio
import json
import random
import urllib.request

import websockets

GATEWAY = "127.0.0.1:8000"


def why(query):  # the gateway explains why it refuses a handshake
    try:
        with urllib.request.urlopen(
            f"http://{GATEWAY}/cotizaciones/websocket_check?{query}", timeout=5
        ) as answer:
            check = json.load(answer)
    except (OSError, ValueError):
        return None
    return None if check["allowed"] else "refused: {code}: {message} {hint}".format(**check)


async def follow(query, take):
    is_all = "mode=all" in query
    moves = ("quote", "state", "lost", "heartbeat") if is_all else ("ack", "heartbeat")
    epoch, seq, last, gap, attempt = "", 0, {}, 0, 0  # seq is our position; 0: none yet
    while True:
        appointment, base, since = None, None, f"&since={epoch}:{seq}" if seq else ""
        try:
            async with websockets.connect(f"ws://{GATEWAY}/ws/cotizaciones?{query}{since}",
                                          subprotocols=["pregon.v1.json"], compression=None) as ws:
                async for m in ws:
                    m = json.loads(m)
                    kind, symbol = m["type"], m.get("symbol")
                    if kind == "reset" or kind == "ack" and not m.get("recovered"):
                        # another log: everything is sent again
                        epoch, seq, last = m["epoch"], 0, {}
                    if kind in ("ack", "reset"):
                        base, attempt = m["seq"] if kind == "ack" else 0, 0
                    elif kind == "going_away":
                        appointment = m["reconnect_after"]
                    elif kind == "snapshot":
                        last[symbol] = m["seq"]
                    elif is_all and kind in ("quote", "state"):
                        known = last.get(symbol, base)
                        if m["seq"] > known and m["prev"] > known and m["prev"] != gap:
                            seq, gap = min(seq, known), m["prev"]
                            break  # a record is missing: reconnect for it, once
                        if kind == "quote" and m["seq"] <= known:
                            continue  # we already have it
                        last[symbol] = max(m["seq"], known)
                    if kind in moves and base is not None:
                        seq = max(seq, m["seq"])
                    take(m)
        except websockets.InvalidHandshake as e:  # the handshake was refused
            print(await asyncio.to_thread(why, query) or f"disconnected: {e}", flush=True)
        except (OSError, asyncio.TimeoutError, websockets.WebSocketException) as e:
            print("disconnected:", e, flush=True)
        pause, attempt = random.uniform(0, min(30, 2**attempt)), attempt + 1
        await asyncio.sleep(pause if appointment is None else appointment)


def show(m):
    if m["type"] in ("snapshot", "quote"):
        quotes[m["symbol"]] = {"state": "live", **m}
    elif m["type"] == "state" and m["symbol"] in quotes:
        quotes[m["symbol"]]["state"] = m["state"]
    elif m["type"] == "reset":
        quotes.clear()
    if q := quotes.get(m.get("symbol")):
        price = q.get("last") or f"{q.get('bid')} / {q.get('ask')}"
        print(q["symbol"], price, q["state"], flush=True)
    elif m["type"] in ("ack", "error", "lost", "reset"):
        print(m, flush=True)


quotes = {}  # symbol -> its newest quote
asyncio.run(follow("symbols=DAX,USD*", show))
