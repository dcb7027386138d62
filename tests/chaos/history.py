"""What was sent and received, and when: the input of the verdict.

Quotes are numbered per symbol (`n`).  What clients receive is kept in columns, so that an hour of
it fits in memory.  A position is one number here, epoch and seq together, so that positions of
all epochs can be compared and be keys: see `position()`.
"""

import collections
import dataclasses
import threading
import time
from array import array

SEQ_BITS = 48
QUOTE, SNAPSHOT, STATE, LOST, HEARTBEAT, RESET = range(6)
KINDS = ("quote", "snapshot", "state", "lost", "heartbeat", "reset")

Heard = collections.namedtuple("Heard", "kind position symbol n connection at")
Loss = collections.namedtuple("Loss", "feed first last reason")


def position(epoch, seq):
    return epoch << SEQ_BITS | seq


def seq_of(where):
    return where & ((1 << SEQ_BITS) - 1)


def epoch_of(where):
    return where >> SEQ_BITS


def covers(patterns, symbol):
    return any(p == symbol or (p[-1] == "*" and symbol.startswith(p[:-1])) for p in patterns)


class Life:
    """One life of a feeder: the quotes that it was given to send, in that order."""

    def __init__(self, feed, born):
        self.feed = feed
        self.born = born
        self.symbols = array("H")
        self.numbers = array("I")
        self.base = None  # line before its first one, once it is known
        self.kept = 0  # so many of the first ones are known to be received

    def add(self, symbol, n):
        self.symbols.append(symbol)
        self.numbers.append(n)

    def __len__(self):
        return len(self.symbols)


@dataclasses.dataclass
class Connection:
    number: int
    door: str  # which gateway, which way
    by: str  # how it asked: "url" or "op"
    since: int = None  # a position
    opened: float = 0.0
    acked: float = None
    ack: int = None  # a position
    recovered: bool = None  # None: the ack did not say
    closed: float = None
    end: str = ""


class Hearing:
    """What one client received, connection after connection."""

    def __init__(self, name, mode, patterns):
        self.name, self.mode, self.patterns = name, mode, patterns
        self.connections = []
        self.losses = {}  # index of the entry -> Loss
        self.oddities = []  # (at, text): wrong by itself
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
        return Heard(self.kind[i], self.position[i], self.symbol[i], self.n[i],
                     self.connection[i], self.at[i])

    def __iter__(self):
        return map(Heard, self.kind, self.position, self.symbol, self.n, self.connection,
                   self.at)


class History:
    def __init__(self):
        self.began = time.monotonic()
        self.lock = threading.Lock()
        self.symbols, self.symbol_ids = [], {}
        self.epochs, self.epoch_ids = [], {}
        self.lives = []
        self.hearings = []
        self.actions = []  # (from, until or None, text)
        self.finals = {}  # symbol id -> n of its last quote
        self.kept_from = []  # (at, oldest position the broker keeps), rising
        self.is_of_old = False  # programs before 0.2: nothing is resumed, `all` may mend late

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

    def life(self, feed):
        life = Life(feed, self.now())
        with self.lock:
            self.lives.append(life)
        return life

    def hearing(self, name, mode, patterns):
        hearing = Hearing(name, mode, patterns)
        with self.lock:
            self.hearings.append(hearing)
        return hearing

    def act(self, text):
        """An action begins; returns the function to call at its end."""
        entry = [self.now(), None, text]
        with self.lock:
            self.actions.append(entry)

        def over(more=""):
            entry[1] = self.now()
            entry[2] += more

        return over

    def is_of(self, hearing, symbol):
        return covers(hearing.patterns, self.symbols[symbol])
