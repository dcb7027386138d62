"""The real programs, a feeder and clients, so that a test reads like a conversation.

    broker, gateway = stage.play()
    feed = stage.feed(broker)
    client = stage.client(gateway, "?symbols=EUR/USD")
    feed.quote("EUR/USD", bid="1.0842", ask="1.0843")
    client.hears("quote", symbol="EUR/USD")

Nothing here sleeps for a guess: every wait is for an event (a ready line, a log line, a
message, an exit) or polls a page, and has a deadline that is generous, because it only
decides when a test is lost.  Processes are ended by their own id.
"""

from .basics import (
    BIN, BINARY, CLOSE, DATA, IS_SANITIZED, Lost, PATIENCE, PING, POLL, PONG, ROOT, SANITIZER,
    STREAM, TEXT, eventually, free_address, free_port,
)
from .process import Process, is_secret, plain_environment
from .http_client import Answer, connect, handshake_bytes, new_key, read_answer
from .broker_client import Control, Locker
from .feed import Feed
from .client import Client, REACTOR, matches
from .raw_client import RawClient, frame_bytes
from .proxy import Proxy
from .stage import Stage
