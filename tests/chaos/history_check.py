"""Checks a recorded history against rules. Each rule is a promise of the product.

This module uses no process, no clock and no socket. test_history_check.py tests it with invented
histories.
"""

import bisect
import collections

from history import HEARTBEAT, LOST, QUOTE, RESET, SNAPSHOT, STATE, KINDS, epoch_of, seq_of

RULES = {
    "epoch": "there is one log, from the beginning to the end",
    "unique": "a position has one quote, and a quote one position",
    "order": "each symbol's quotes have rising positions",
    "logged": "the log has every quote that the broker received or a client saw",
    "hole": "mode all: no quote is missing except those that `lost` names",
    "twice": "mode all: no quote comes twice",
    "rising": "mode all: positions rise on every connection",
    "newest": "mode merge: at the end each client has the last value of every symbol",
    "back": "mode merge: on one connection no older value follows a newer one",
    "resume": "a client can resume from every position that the broker still stores",
    "odd": "every message follows the protocol",
}

Fault = collections.namedtuple("Fault", "rule subject text position at")


class Ranges:
    """Ranges (after, up to) that a client was told are missing, for all symbols or for one."""

    def __init__(self):
        self.every, self.by_symbol = [], collections.defaultdict(list)

    def add(self, after, upto, symbol=None):
        (self.every if symbol is None else self.by_symbol[symbol]).append((after, upto))

    def contains(self, where, symbol):
        return any(a < where <= b for a, b in self.every) or any(
            a < where <= b for a, b in self.by_symbol.get(symbol, ()))

    def overlaps(self, low, high, symbol):
        """Could a position between the two have been reported?"""
        return any(a < high - 1 and b > low for a, b in
                   self.every + self.by_symbol.get(symbol, []))


def check(history):
    """All faults, by rule."""
    return Checker(history).check()


class Checker:
    def __init__(self, history):
        self.h = history
        self.faults = {rule: [] for rule in RULES}
        self.log = {}  # position -> (symbol, n, when a client first received it)
        self.places = {}  # (symbol, n) -> position; 0 if it came in a snapshot only
        self.losses = {}  # position -> Loss, of feeds
        self.reported = {}  # client's name -> Ranges
        self.joined = {}  # client's name -> Ranges that lie before the client joined
        self.notes = []

    def fault(self, rule, subject, text, where=None, at=None):
        self.faults[rule].append(Fault(rule, subject, text, where, at))

    def check(self):
        self.check_epochs()
        self.gather()
        self.check_order()
        for client in self.h.clients:
            for at, text in client.oddities:
                self.fault("odd", client.name, text, None, at)
            self.check_resumption(client)
            self.reported[client.name] = self.reported_ranges(client)
            self.joined[client.name] = self.before_joining(client)
        self.positions = sorted(self.log)
        self.check_lifetimes()
        for client in self.h.clients:
            if client.mode == "all":
                self.check_mode_all(client)
            else:
                self.check_mode_merge(client)
        return self.faults

    def quote(self, symbol, n):
        return f"{self.h.symbols[symbol]} n={n}"

    def check_epochs(self):
        if len(self.h.epochs) > 1:
            self.fault("epoch", "all clients", f"epochs {', '.join(self.h.epochs)}")

    # the log, put together from what all clients received

    def gather(self):
        for client in self.h.clients:
            for i, e in enumerate(client):
                if e.kind == QUOTE:
                    self.gather_quote(client, e)
                elif e.kind == SNAPSHOT:
                    self.places.setdefault((e.symbol, e.n), 0)
                elif e.kind == LOST:
                    loss = client.losses[i]
                    if loss.feed and self.losses.setdefault(e.position, loss) != loss:
                        self.fault("unique", client.name, f"{loss} and "
                                   f"{self.losses[e.position]}", e.position, e.at)
        for where in set(self.losses) & set(self.log):
            self.fault("unique", "all clients", "a quote and a loss", where)

    def gather_quote(self, client, e):
        known = self.log.get(e.position)
        if known is None:
            self.log[e.position] = (e.symbol, e.n, e.at)
        elif known[:2] != (e.symbol, e.n):
            self.fault("unique", client.name, f"{self.quote(*known[:2])} and "
                       f"{self.quote(e.symbol, e.n)}", e.position, e.at)
        elif e.at < known[2]:
            self.log[e.position] = (e.symbol, e.n, e.at)
        place = self.places.get((e.symbol, e.n))
        if not place:
            self.places[e.symbol, e.n] = e.position
        elif place != e.position:
            self.fault("unique", client.name, f"{self.quote(e.symbol, e.n)} has positions "
                       f"{seq_of(place)} and {seq_of(e.position)}", e.position, e.at)

    def check_order(self):
        at = {}
        for where in sorted(self.log):
            symbol, n, when = self.log[where]
            if n <= at.get(symbol, 0):
                self.fault("order", "all clients", f"{self.quote(symbol, n)} after "
                           f"n={at[symbol]}", where, when)
            at[symbol] = n

    # what the feeders were given to send

    def check_lifetimes(self):
        for lifetime in self.h.lifetimes:
            places = [self.places.get(q) for q in zip(lifetime.symbols, lifetime.numbers)]
            last = max((i for i, place in enumerate(places) if place is not None), default=-1)
            for i in range(max(lifetime.kept, last + 1)):
                if places[i] or self.is_named(lifetime, i) or self.is_hidden(lifetime, i):
                    continue
                why = "the broker received it" if i < lifetime.kept else (
                    "a client received a later quote of the same lifetime")
                self.fault("logged", lifetime.feed,
                           f"{self.quote(lifetime.symbols[i], lifetime.numbers[i])} ({why}), "
                           f"quote {i} of the lifetime that began at {lifetime.began:.1f}",
                           self.neighbours(lifetime, i)[0] or None)

    def is_named(self, lifetime, i):
        if lifetime.base is None:
            return False
        line = lifetime.base + 1 + i
        return any(x.feed == lifetime.feed and x.first <= line <= x.last
                   for x in self.losses.values())

    def neighbours(self, lifetime, i):
        """Positions of the nearest quotes of the same lifetime before and after this quote."""
        low, high = 0, 1 << 63
        for j in range(i - 1, -1, -1):
            low = self.places.get((lifetime.symbols[j], lifetime.numbers[j]), 0)
            if low:
                break
        for j in range(i + 1, len(lifetime)):
            where = self.places.get((lifetime.symbols[j], lifetime.numbers[j]), 0)
            if where:
                high = where
                break
        return low, high

    def is_hidden(self, lifetime, i):
        """The quote may be missing where a gap was reported to every client that wanted it."""
        low, high = self.neighbours(lifetime, i)
        symbol = lifetime.symbols[i]
        return all(self.reported[h.name].overlaps(low, high, symbol) for h in self.h.clients
                   if h.mode == "all" and self.h.wants(h, symbol))

    # which gaps a client was told of

    def reported_ranges(self, client):
        reported = Ranges()
        for c in client.connections:
            if c.ack is not None and c.recovered is not True:
                reported.add(c.since or 0, c.ack)
        seen = set()  # (connection, symbol)
        for i, e in enumerate(client):
            if e.kind == RESET:
                reported.add(0, e.position)
                seen = set()
            elif e.kind == LOST and not client.losses[i].feed:
                x, epoch = client.losses[i], e.position - seq_of(e.position)
                reported.add(epoch + x.first - 1, epoch + x.last)
            elif e.kind == SNAPSHOT and (e.connection, e.symbol) not in seen:
                c = client.connections[e.connection]
                if c.recovered is not True:
                    reported.add(c.since or 0, e.position, e.symbol)
            if e.kind in (SNAPSHOT, QUOTE):
                seen.add((e.connection, e.symbol))
        return reported

    def before_joining(self, client):
        """The ranges in which a gateway need not report losses to a client that does not resume.

        For the time before it joins, a client gets only snapshots. The position in the ack lies
        below these snapshots, far below if one of the symbols is quiet. The first record, or the
        first heartbeat with a higher position, shows where the client joined: the gateway must
        report every loss after that point.
        """
        before, has_snapshot, known = Ranges(), set(), set()
        for e in client:
            c = client.connections[e.connection]
            if e.connection in known or c.ack is None or c.recovered is True:
                continue
            if e.kind == SNAPSHOT:
                has_snapshot.add(e.connection)
            elif e.kind in (QUOTE, LOST) or (e.kind == HEARTBEAT and e.position > c.ack):
                known.add(e.connection)
                if e.connection in has_snapshot:
                    before.add(c.since or 0, e.position - (e.kind != HEARTBEAT))
        return before

    def check_resumption(self, client):
        for c in client.connections:
            if c.since is None or c.ack is None or c.recovered is True:
                continue
            if c.recovered is None:
                self.fault("resume", client.name, f"connection {c.number}: the ack of a "
                           "subscription with since does not say `recovered`", c.since, c.acked)
            elif self.h.cannot_resume or epoch_of(c.since) != epoch_of(c.ack):
                continue
            elif c.since + 1 >= self.oldest_stored(c.acked):
                self.fault("resume", client.name, f"connection {c.number}: since "
                           f"{seq_of(c.since)} was not recovered, but the broker stores it "
                           f"(ack {seq_of(c.ack)})", c.since, c.acked)

    def oldest_stored(self, at):
        """The oldest position that the broker stored at or just after this time.

        A position that the broker stores later was also stored before.
        """
        i = bisect.bisect_left(self.h.oldest_stored, (at, 0))
        if i < len(self.h.oldest_stored):
            return self.h.oldest_stored[i][1]
        return self.h.oldest_stored[-1][1] if self.h.oldest_stored else 0

    # mode all

    def check_mode_all(self, client):
        reported = self.reported[client.name]
        received = {}
        before, connection, c = 0, None, None
        for i, e in enumerate(client):
            if e.connection != connection:
                connection = e.connection
                c = client.connections[connection]
                before = c.since or 0
                if c.recovered is not True:  # this client begins anew at the position of the ack
                    before = c.ack
            if e.kind == RESET:
                before = 0
            if e.kind != QUOTE and not (e.kind == LOST and client.losses[i].feed):
                continue
            if e.position in received and (
                    c.recovered is True or client.connection[received[e.position]] == connection):
                self.fault("twice", client.name, f"{self.entry(client, i)}, "
                           f"first in entry {received[e.position]}", e.position, e.at)
            elif e.position <= before and not self.h.cannot_resume:
                self.fault("rising", client.name, f"{self.entry(client, i)} after "
                           f"{seq_of(before)}", e.position, e.at)
            received[e.position] = i
            before = max(before, e.position)
        self.check_holes(client, reported, received)

    def check_holes(self, client, reported, received):
        mine = {s for s in range(len(self.h.symbols)) if self.h.wants(client, s)}
        if not any(c.ack is not None for c in client.connections):
            self.fault("hole", client.name, "no gateway ever accepted it")
            return
        for where in self.positions:
            symbol, n, at = self.log[where]
            if symbol in mine and where not in received and not reported.contains(where, symbol):
                self.fault("hole", client.name, f"{self.quote(symbol, n)} at {seq_of(where)}",
                           where, at)
        for where, loss in sorted(self.losses.items()):
            if where not in received and not reported.contains(where, None) and not (
                    self.joined[client.name].contains(where, None)) and (
                    mine & self.symbols_lost(loss)):
                self.fault("hole", client.name, f"the report of {loss} at {seq_of(where)}", where)

    def symbols_lost(self, loss):
        found = set()
        for lifetime in self.h.lifetimes:
            if lifetime.feed == loss.feed and lifetime.base is not None:
                low = max(0, loss.first - lifetime.base - 1)
                found |= set(lifetime.symbols[low : max(0, loss.last - lifetime.base)])
        return found

    # mode merge

    def check_mode_merge(self, client):
        shown, at = {}, {}
        connection = None
        for i, e in enumerate(client):
            if e.connection != connection:
                connection, at = e.connection, {}
            if e.kind == RESET:
                shown, at = {}, {}
            if e.kind not in (QUOTE, SNAPSHOT):
                continue
            if (e.n, e.position) < at.get(e.symbol, (0, 0)) or (
                    e.kind == QUOTE and e.n == at.get(e.symbol, (0, 0))[0]):
                self.fault("back", client.name, f"{self.entry(client, i)} after "
                           f"n={at[e.symbol][0]}", e.position, e.at)
            at[e.symbol] = (e.n, e.position)
            shown[e.symbol] = e.n
        for symbol, n in self.h.finals.items():
            if self.h.wants(client, symbol) and shown.get(symbol) != n:
                self.fault("newest", client.name, f"{self.h.symbols[symbol]} is shown as "
                           f"n={shown.get(symbol)}, not {n}")

    def entry(self, client, i):
        e = client[i]
        name = self.h.symbols[e.symbol] if e.kind in (QUOTE, SNAPSHOT, STATE) else ""
        return (f"{KINDS[e.kind]} {name} n={e.n} at {seq_of(e.position)} "
                f"(connection {e.connection}, entry {i})")


def events_around(history, fault, width=6, seconds=6.0):
    """Lines about the events around a client's fault."""
    lines = [f"{fault.subject}: {RULES.get(fault.rule, fault.rule)}", f"  {fault.text}"]
    at = fault.at
    client = next((h for h in history.clients if h.name == fault.subject), None)
    if client:
        lines.append(f"  mode {client.mode}, symbols {','.join(client.patterns)}, "
                     f"{len(client.connections)} connections, {len(client)} messages")
        near = nearest(client, fault.position, at)
        lines.append("  what it received there:")
        for i in range(max(0, near - width), min(len(client), near + width)):
            e = client[i]
            name = history.symbols[e.symbol] if e.kind in (QUOTE, SNAPSHOT, STATE) else ""
            more = f" {client.losses[i]}" if i in client.losses else ""
            lines.append(f"    {e.at:9.3f} connection {e.connection:4} {KINDS[e.kind]:9} "
                         f"{seq_of(e.position):8} {name} n={e.n}{more}")
        number = client.connection[min(near, len(client) - 1)] if len(client) else 0
        lines.append("  its connections around it:")
        for c in client.connections[max(0, number - 3) : number + 4]:
            lines.append("    " + connection_line(c))
        if at is None and len(client):
            at = client.at[min(near, len(client) - 1)]
    if fault.position:
        others = [f"{h.name} at {h.at[i]:.3f}" for h in history.clients
                  for i in [index_of(h, fault.position)] if i is not None and h is not client]
        lines.append(f"  position {seq_of(fault.position)} was received by: "
                     f"{', '.join(others) or 'no other client'}")
    if at is not None:
        lines.append(f"  actions around {at:.1f} s:")
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
    return (f"{c.number:4} {c.endpoint} by {c.by}, {times}, since {seq(c.since)}, ack "
            f"{seq(c.ack)}, recovered {c.recovered}: {c.end or 'open'}")


def nearest(client, where, at):
    """The index of the first entry at or after this position or this time."""
    if where:
        for i in range(len(client)):
            if client.position[i] >= where and client.kind[i] in (QUOTE, LOST, HEARTBEAT):
                return i
    if at is not None:
        return bisect.bisect_left(client.at, at)
    return len(client)


def index_of(client, where):
    for i in range(len(client)):
        if client.position[i] == where and client.kind[i] in (QUOTE, LOST):
            return i
    return None
