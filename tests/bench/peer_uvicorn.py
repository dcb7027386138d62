"""The same broadcast in FastAPI on uvicorn, as one writes it: run by bench.py.

    python3 peer_uvicorn.py PORT

Each line of standard input goes to every client whose ?symbols= names its symbol.
"""

import asyncio
import json
import sys

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
subscribers = {}  # symbol, or *: set of clients


@app.on_event("startup")
async def start():
    app.state.reader = asyncio.get_running_loop().create_task(
        read()
    )  # tasks nobody holds are collected
    print("ready", flush=True)


async def read():
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        text = line.decode().rstrip("\n")
        symbol = json.loads(text)["symbol"]
        for websocket in list(subscribers.get(symbol, ())) + list(subscribers.get("*", ())):
            try:
                await websocket.send_text(text)
            except Exception:  # it has gone; its own task notices
                pass


@app.websocket("/ws/cotizaciones")
async def stream(websocket: WebSocket, symbols: str = "*"):
    await websocket.accept()
    names = symbols.split(",")
    for name in names:
        subscribers.setdefault(name, set()).add(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        for name in names:
            subscribers[name].discard(websocket)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", ws_ping_interval=None)
