"""Print quotes with the package pregon, through restarts and broken connections.

usage: python stream.py    (pip install ./consumer/python)
With mode="all" it receives every quote; without, a slow program gets the newest values.
"""

import asyncio

import pregon


async def main():
    async for quote in pregon.follow(
        "http://127.0.0.1:8000",
        symbols=["DAX", "USD*"],
        on_state=lambda s: print(s.symbol, s.state),  # "stale" when its feed falls silent
        on_lost=print,
    ):
        print(quote)  # DAX 1628.75 live; the prices are quote.last, quote.bid, quote.ask


asyncio.run(main())
