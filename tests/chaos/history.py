"""What was sent and received, and when: the input of history_check.py.

Quotes are numbered per symbol (`n`).  Received messages are kept in columns, so that an hour of
them fits in memory.  A position here is one number made of epoch and seq, so that positions of
all epochs can be compared and used as keys: see `position()`.
"""

import collections
import dataclasses
import threading
import time
from array import array

SEQ_BITS = 48
QUOTE, SNAPSHOT, STATE, LOST, HEARTBEAT, RESET = range(6)
KINDS = ("quote", "snapshot", "state", "lost", "heartbeat", "reset")

Entry = collections.namedtuple("Entry", "kind position symbol n connection at")
Loss = collections.namedtuple("Loss", "feed first last reason")


def position(epoch, seq):
    return epoch << SEQ_BITS | seq


def seq_of(where):
    return where & ((1 << SEQ_BITS) - 1)


def epoch_of(where):
    return where >> SEQ_BITS


def covers(patterns, symbol):
    return any(p == symbol or (p[-1] == "*" and symbol.startswith(p[:-1])) for p in patterns)


class Lifetime:
    """One lifetime of a feeder process: the quotes that it was given to send, in order."""

    def __init__(self, feed, began):
        self.feed = feed
        self.began = began
        self.symbols = array("H")
        self.numbers = array("I")
        self.base = None  # number of the line before its first line; None until it is known
        self.kept = 0  # how many of its first lines the broker has certainly received

    def add(self, symbol, n):
        self.symbols.append(symbol)
        self.numbers.append(n)

    def __len__(self):
        return len(self.symbols)


@dataclasses.dataclass
class Connection:
    number: int
    endpoint: str  # which gateway, and whether through a proxy
    by: str  # how it subscribed: "url" or "op"
    since: int = None  # a position
    opened: float = 0.0
    acked: float = None
    ack: int = None  # a position
    recovered: bool = None  # None: the ack has no such member
    closed: float = None
    end: str = ""


class ClientHistory:
    """What one client received, connection after connection."""

    def __init__(self, name, mode, patterns):
        self.name, self.mode, self.patterns = name, mode, patterns
        self.connections = []
        self.losses = {}  # index of the entry -> Loss
        self.oddities = []  # (at, text): messages that are wrong regardless of others
        self.kind, self.position = array("B"), array("Q")
        self.symbol, self.n = array("H"), array("I")
        self.connection, self.at = array("I"), array("d")

    def add(self, kind, where, symbol, n, at):
        self.kind.append(kind)
        self.position.append(where)
        self.symbol.append(symbol)
        self.n.append(n)
        self.connection.append(len(self.connections) - 1)
        self.at.append(at)

    def __len__(self):
        return len(self.kind)

    def __getitem__(self, i):
        return Entry(self.kind[i], self.position[i], self.symbol[i], self.n[i],
                     self.connection[i], self.at[i])

    def __iter__(self):
        return map(Entry, self.kind, self.position, self.symbol, self.n, self.connection,
                   self.at)


class History:
    def __init__(self):
        self.began = time.monotonic()
        self.lock = threading.Lock()
        self.symbols, self.symbol_ids = [], {}
        self.epochs, self.epoch_ids = [], {}
        self.lifetimes = []
        self.clients = []
        self.actions = []  # (from, until or None, text)
        self.finals = {}  # symbol id -> n of its last quote
        self.oldest_stored = []  # (at, oldest position that the broker stores), rising
        self.cannot_resume = False  # the broker has no store: it may refuse to resume a client

    def now(self):
        return time.monotonic() - self.began

    def _id(self, name, names, ids):
        with self.lock:
            if name not in ids:
                ids[name] = len(names)
                names.append(name)
            return ids[name]

    def symbol(self, name):
        return self._id(name, self.symbols, self.symbol_ids)

    def epoch(self, name):
        return self._id(name, self.epochs, self.epoch_ids)

    def where(self, epoch, seq):
        return position(self.epoch(epoch), seq)

    def lifetime(self, feed):
        lifetime = Lifetime(feed, self.now())
        with self.lock:
            self.lifetimes.append(lifetime)
        return lifetime

    def client(self, name, mode, patterns):
        client = ClientHistory(name, mode, patterns)
        with self.lock:
            self.clients.append(client)
        return client

    def act(self, text):
        """An action begins; returns the function to call at its end."""
        entry = [self.now(), None, text]
        with self.lock:
            self.actions.append(entry)

        def over(more=""):
            entry[1] = self.now()
            entry[2] += more

        return over

    def wants(self, client, symbol):
        return covers(client.patterns, self.symbols[symbol])
