"""Checks a history: each rule is a promise, and finds the faults against it.

No process, no clock, no socket here: test_verdict.py feeds it with invented histories.
"""

import bisect
import collections

from history import HEARTBEAT, LOST, QUOTE, RESET, SNAPSHOT, STATE, KINDS, epoch_of, seq_of

RULES = {
    "epoch": "there is one log, from the beginning to the end",
    "unique": "a position has one quote, and a quote one position",
    "order": "each symbol's quotes have rising positions",
    "taken": "what the broker received, or anybody saw, stands in the log",
    "hole": "mode all: no quote is missing, but what `lost` names",
    "twice": "mode all: no quote comes twice",
    "rising": "mode all: positions rise on every connection",
    "newest": "mode merge: at the end the last value of every symbol is shown",
    "back": "mode merge: on one connection no older value follows a newer one",
    "resume": "a position that is kept can be resumed from",
    "odd": "every message is what the protocol says",
}

Fault = collections.namedtuple("Fault", "rule who text position at")


class Ranges:
    """What was reported to a client as missing: (after, up to), for all symbols or for one."""

    def __init__(self):
        self.every, self.by_symbol = [], collections.defaultdict(list)

    def add(self, after, upto, symbol=None):
        (self.every if symbol is None else self.by_symbol[symbol]).append((after, upto))

    def holds(self, where, symbol):
        return any(a < where <= b for a, b in self.every) or any(
            a < where <= b for a, b in self.by_symbol.get(symbol, ()))

    def meets(self, low, high, symbol):
        """Could a position between the two have been reported?"""
        return any(a < high - 1 and b > low for a, b in
                   self.every + self.by_symbol.get(symbol, []))


def judge(history):
    """All faults, by rule."""
    return Judge(history).judge()


class Judge:
    def __init__(self, history):
        self.h = history
        self.faults = {rule: [] for rule in RULES}
        self.log = {}  # position -> (symbol, n, at first heard)
        self.places = {}  # (symbol, n) -> position, 0: seen in a snapshot only
        self.losses = {}  # position -> Loss, of feeds
        self.told = {}  # hearing's name -> Ranges
        self.joined = {}  # hearing's name -> Ranges: losses there may be from before it joined
        self.notes = []

    def fault(self, rule, who, text, where=None, at=None):
        self.faults[rule].append(Fault(rule, who, text, where, at))

    def judge(self):
        self.judge_epochs()
        self.gather()
        self.judge_order()
        for hearing in self.h.hearings:
            for at, text in hearing.oddities:
                self.fault("odd", hearing.name, text, None, at)
            self.judge_resumption(hearing)
            self.told[hearing.name] = self.what_was_told(hearing)
            self.joined[hearing.name] = self.before_joining(hearing)
        self.positions = sorted(self.log)
        self.judge_lives()
        for hearing in self.h.hearings:
            if hearing.mode == "all":
                self.judge_all(hearing)
            else:
                self.judge_merge(hearing)
        return self.faults

    def quote(self, symbol, n):
        return f"{self.h.symbols[symbol]} n={n}"

    def judge_epochs(self):
        if len(self.h.epochs) > 1:
            self.fault("epoch", "everybody", f"epochs {', '.join(self.h.epochs)}")

    # the log, as all clients together saw it

    def gather(self):
        for hearing in self.h.hearings:
            for i, e in enumerate(hearing):
                if e.kind == QUOTE:
                    self.gather_quote(hearing, e)
                elif e.kind == SNAPSHOT:
                    self.places.setdefault((e.symbol, e.n), 0)
                elif e.kind == LOST:
                    loss = hearing.losses[i]
                    if loss.feed and self.losses.setdefault(e.position, loss) != loss:
                        self.fault("unique", hearing.name, f"{loss} and "
                                   f"{self.losses[e.position]}", e.position, e.at)
        for where in set(self.losses) & set(self.log):
            self.fault("unique", "everybody", "a quote and a loss", where)

    def gather_quote(self, hearing, e):
        known = self.log.get(e.position)
        if known is None:
            self.log[e.position] = (e.symbol, e.n, e.at)
        elif known[:2] != (e.symbol, e.n):
            self.fault("unique", hearing.name, f"{self.quote(*known[:2])} and "
                       f"{self.quote(e.symbol, e.n)}", e.position, e.at)
        elif e.at < known[2]:
            self.log[e.position] = (e.symbol, e.n, e.at)
        place = self.places.get((e.symbol, e.n))
        if not place:
            self.places[e.symbol, e.n] = e.position
        elif place != e.position:
            self.fault("unique", hearing.name, f"{self.quote(e.symbol, e.n)} has positions "
                       f"{seq_of(place)} and {seq_of(e.position)}", e.position, e.at)

    def judge_order(self):
        at = {}
        for where in sorted(self.log):
            symbol, n, when = self.log[where]
            if n <= at.get(symbol, 0):
                self.fault("order", "everybody", f"{self.quote(symbol, n)} after "
                           f"n={at[symbol]}", where, when)
            at[symbol] = n

    # what feeders were given

    def judge_lives(self):
        for life in self.h.lives:
            places = [self.places.get(q) for q in zip(life.symbols, life.numbers)]
            last = max((i for i, place in enumerate(places) if place is not None), default=-1)
            for i in range(max(life.kept, last + 1)):
                if not places[i] and not self.is_named(life, i) and not self.is_hidden(life, i):
                    why = "was received" if i < life.kept else "a later one of its life came"
                    self.fault("taken", life.feed,
                               f"{self.quote(life.symbols[i], life.numbers[i])} ({why}), "
                               f"quote {i} of the life begun at {life.born:.1f}",
                               self.neighbours(life, i)[0] or None)

    def is_named(self, life, i):
        if life.base is None:
            return False
        line = life.base + 1 + i
        return any(x.feed == life.feed and x.first <= line <= x.last
                   for x in self.losses.values())

    def neighbours(self, life, i):
        """Positions of the nearest quotes of its life before and after it."""
        low, high = 0, 1 << 63
        for j in range(i - 1, -1, -1):
            low = self.places.get((life.symbols[j], life.numbers[j]), 0)
            if low:
                break
        for j in range(i + 1, len(life)):
            where = self.places.get((life.symbols[j], life.numbers[j]), 0)
            if where:
                high = where
                break
        return low, high

    def is_hidden(self, life, i):
        """The quote may be missing where a gap was reported to every client that wanted it."""
        low, high = self.neighbours(life, i)
        symbol = life.symbols[i]
        return all(self.told[h.name].meets(low, high, symbol) for h in self.h.hearings
                   if h.mode == "all" and self.h.is_of(h, symbol))

    # what a client was told

    def what_was_told(self, hearing):
        told = Ranges()
        for c in hearing.connections:
            if c.ack is not None and c.recovered is not True:
                told.add(c.since or 0, c.ack)
        spoken = set()  # (connection, symbol)
        for i, e in enumerate(hearing):
            if e.kind == RESET:
                told.add(0, e.position)
                spoken = set()
            elif e.kind == LOST and not hearing.losses[i].feed:
                x, epoch = hearing.losses[i], e.position - seq_of(e.position)
                told.add(epoch + x.first - 1, epoch + x.last)
            elif e.kind == SNAPSHOT and (e.connection, e.symbol) not in spoken:
                c = hearing.connections[e.connection]
                if c.recovered is not True:
                    told.add(c.since or 0, e.position, e.symbol)
            if e.kind in (SNAPSHOT, QUOTE):
                spoken.add((e.connection, e.symbol))
        return told

    def before_joining(self, hearing):
        """Up to where losses need not be reported to a client that begins anew.

        Of what was before it joins it gets the snapshots only, and the ack's position lies below
        them, far below if one of the symbols is quiet.  Where it joined, the first record
        shows, or a heartbeat that moved on: from there on every loss is owed.
        """
        before, has_snapshot, known = Ranges(), set(), set()
        for e in hearing:
            c = hearing.connections[e.connection]
            if e.connection in known or c.ack is None or c.recovered is True:
                continue
            if e.kind == SNAPSHOT:
                has_snapshot.add(e.connection)
            elif e.kind in (QUOTE, LOST) or (e.kind == HEARTBEAT and e.position > c.ack):
                known.add(e.connection)
                if e.connection in has_snapshot:
                    before.add(c.since or 0, e.position - (e.kind != HEARTBEAT))
        return before

    def judge_resumption(self, hearing):
        for c in hearing.connections:
            if c.since is None or c.ack is None or c.recovered is True:
                continue
            if c.recovered is None:
                self.fault("resume", hearing.name, f"connection {c.number}: the ack of a "
                           "subscription with since does not say `recovered`", c.since, c.acked)
            elif self.h.is_of_old or epoch_of(c.since) != epoch_of(c.ack):
                continue
            elif c.since + 1 >= self.kept_from(c.acked):
                self.fault("resume", hearing.name, f"connection {c.number}: since "
                           f"{seq_of(c.since)} was not recovered, yet it is kept "
                           f"(ack {seq_of(c.ack)})", c.since, c.acked)

    def kept_from(self, at):
        """The oldest position kept a little later: what is kept then, was kept."""
        i = bisect.bisect_left(self.h.kept_from, (at, 0))
        if i < len(self.h.kept_from):
            return self.h.kept_from[i][1]
        return self.h.kept_from[-1][1] if self.h.kept_from else 0

    # mode all

    def judge_all(self, hearing):
        told = self.told[hearing.name]
        heard = {}
        before, connection, c = 0, None, None
        for i, e in enumerate(hearing):
            if e.connection != connection:
                connection = e.connection
                c = hearing.connections[connection]
                before = c.since or 0
                if c.recovered is not True:  # it was told to begin anew, from the ack on
                    before = c.ack
            if e.kind == RESET:
                before = 0
            if e.kind != QUOTE and not (e.kind == LOST and hearing.losses[i].feed):
                continue
            if e.position in heard and (
                    c.recovered is True or hearing.connection[heard[e.position]] == connection):
                self.fault("twice", hearing.name, f"{self.entry(hearing, i)}, "
                           f"first in entry {heard[e.position]}", e.position, e.at)
            elif e.position <= before and not self.h.is_of_old:
                self.fault("rising", hearing.name, f"{self.entry(hearing, i)} after "
                           f"{seq_of(before)}", e.position, e.at)
            heard[e.position] = i
            before = max(before, e.position)
        self.judge_holes(hearing, told, heard)

    def judge_holes(self, hearing, told, heard):
        mine = {s for s in range(len(self.h.symbols)) if self.h.is_of(hearing, s)}
        if not any(c.ack is not None for c in hearing.connections):
            self.fault("hole", hearing.name, "it was never let in")
            return
        for where in self.positions:
            symbol, n, at = self.log[where]
            if symbol in mine and where not in heard and not told.holds(where, symbol):
                self.fault("hole", hearing.name, f"{self.quote(symbol, n)} at {seq_of(where)}",
                           where, at)
        for where, loss in sorted(self.losses.items()):
            if where not in heard and not told.holds(where, None) and not (
                    self.joined[hearing.name].holds(where, None)) and (
                    mine & self.symbols_lost(loss)):
                self.fault("hole", hearing.name, f"the news of {loss} at {seq_of(where)}", where)

    def symbols_lost(self, loss):
        found = set()
        for life in self.h.lives:
            if life.feed == loss.feed and life.base is not None:
                low = max(0, loss.first - life.base - 1)
                found |= set(life.symbols[low : max(0, loss.last - life.base)])
        return found

    # mode merge

    def judge_merge(self, hearing):
        shown, at = {}, {}
        connection = None
        for i, e in enumerate(hearing):
            if e.connection != connection:
                connection, at = e.connection, {}
            if e.kind == RESET:
                shown, at = {}, {}
            if e.kind not in (QUOTE, SNAPSHOT):
                continue
            if (e.n, e.position) < at.get(e.symbol, (0, 0)) or (
                    e.kind == QUOTE and e.n == at.get(e.symbol, (0, 0))[0]):
                self.fault("back", hearing.name, f"{self.entry(hearing, i)} after "
                           f"n={at[e.symbol][0]}", e.position, e.at)
            at[e.symbol] = (e.n, e.position)
            shown[e.symbol] = e.n
        for symbol, n in self.h.finals.items():
            if self.h.is_of(hearing, symbol) and shown.get(symbol) != n:
                self.fault("newest", hearing.name, f"{self.h.symbols[symbol]} is shown as "
                           f"n={shown.get(symbol)}, not {n}")

    def entry(self, hearing, i):
        e = hearing[i]
        name = self.h.symbols[e.symbol] if e.kind in (QUOTE, SNAPSHOT, STATE) else ""
        return (f"{KINDS[e.kind]} {name} n={e.n} at {seq_of(e.position)} "
                f"(connection {e.connection}, entry {i})")


def events_around(history, fault, width=6, seconds=6.0):
    """Lines about the events around a client's fault."""
    lines = [f"{fault.who}: {RULES.get(fault.rule, fault.rule)}", f"  {fault.text}"]
    at = fault.at
    hearing = next((h for h in history.hearings if h.name == fault.who), None)
    if hearing:
        lines.append(f"  mode {hearing.mode}, symbols {','.join(hearing.patterns)}, "
                     f"{len(hearing.connections)} connections, {len(hearing)} messages")
        near = nearest(hearing, fault.position, at)
        lines.append("  what it heard there:")
        for i in range(max(0, near - width), min(len(hearing), near + width)):
            e = hearing[i]
            name = history.symbols[e.symbol] if e.kind in (QUOTE, SNAPSHOT, STATE) else ""
            more = f" {hearing.losses[i]}" if i in hearing.losses else ""
            lines.append(f"    {e.at:9.3f} connection {e.connection:4} {KINDS[e.kind]:9} "
                         f"{seq_of(e.position):8} {name} n={e.n}{more}")
        number = hearing.connection[min(near, len(hearing) - 1)] if len(hearing) else 0
        lines.append("  its connections around it:")
        for c in hearing.connections[max(0, number - 3) : number + 4]:
            lines.append("    " + connection_line(c))
        if at is None and len(hearing):
            at = hearing.at[min(near, len(hearing) - 1)]
    if fault.position:
        others = [f"{h.name} at {h.at[i]:.3f}" for h in history.hearings
                  for i in [index_of(h, fault.position)] if i is not None and h is not hearing]
        lines.append(f"  position {seq_of(fault.position)} was heard by: "
                     f"{', '.join(others) or 'nobody else'}")
    if at is not None:
        lines.append(f"  what was done around {at:.1f} s:")
        for begun, ended, text in history.actions:
            if begun - 1 <= at and (ended or begun) + seconds >= at:
                until = f"{ended:9.3f}" if ended else "      ..."
                lines.append(f"    {begun:9.3f} {until} {text}")
    return lines


def connection_line(c):
    def seq(where):
        return "-" if where is None else seq_of(where)

    times = " ".join(f"{name} {t:.3f}" for name, t in
                     (("opened", c.opened), ("ack", c.acked), ("closed", c.closed))
                     if t is not None)
    return (f"{c.number:4} {c.door} by {c.by}, {times}, since {seq(c.since)}, ack "
            f"{seq(c.ack)}, recovered {c.recovered}: {c.end or 'open'}")


def nearest(hearing, where, at):
    """The entry before which a position is missing, or a moment is."""
    if where:
        for i in range(len(hearing)):
            if hearing.position[i] >= where and hearing.kind[i] in (QUOTE, LOST, HEARTBEAT):
                return i
    if at is not None:
        return bisect.bisect_left(hearing.at, at)
    return len(hearing)


def index_of(hearing, where):
    for i in range(len(hearing)):
        if hearing.position[i] == where and hearing.kind[i] in (QUOTE, LOST):
            return i
    return None
