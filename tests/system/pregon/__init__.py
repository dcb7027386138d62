"""The real programs, a feeder and clients, driven by a test.

    broker, gateway = system.start()
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=EUR/USD")
    feed.quote("EUR/USD", bid="1.0842", ask="1.0843")
    client.receive("quote", symbol="EUR/USD")

No test sleeps for a fixed time. Every wait is for an event (a ready line, a log line, a message,
an exit) or polls a route. Each wait has a deadline. The deadline is generous, because it matters
only when a test fails. Processes are ended by their own process id.
"""

from .basics import (
    BIN, BINARY, CLOSE, DATA, EVENTS, IS_SANITIZED, Lost, PATIENCE, PING, POLL, PONG, ROOT,
    SANITIZER, STREAM, TEXT, eventually, free_address, free_port,
)
from .process import Process, is_secret, plain_environment
from .http_client import Answer, connect, handshake_bytes, new_key, read_answer
from .broker_client import Control, Locker
from .feed import Feed
from .client import Client, REACTOR, matches
from .event_client import EventClient
from .raw_client import RawClient, frame_bytes
from .proxy import Proxy
from .system import System
