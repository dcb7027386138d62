"""The actions that a chaos run performs on the running programs, and how often.

The run's own thread chooses an action and all its parameters with the run's random numbers, so
that a seed always makes the same choices. A thread then performs it, because in reality several
faults happen at once. A program suffers one action at a time: an action on a busy program is
skipped.
"""

import collections
import time

import pregon

Action = collections.namedtuple("Action", "victim text perform")

CLIENTS_MAX = 24


def kill(kind):
    def choose(world, dice):
        victim = dice.choice(world.victims[kind])
        pause = dice.choice((0.0, dice.uniform(0, 0.3), dice.uniform(0, 2.0)))

        def perform():
            victim.kill()
            time.sleep(pause)
            world.restart(victim)

        return Action(victim.name, f"kill -9 {victim.name}, again after {pause:.2f} s", perform)

    return choose


def stop(kind):
    def choose(world, dice):
        victim = dice.choice(world.victims[kind])
        pause = dice.uniform(0, 1.0)

        def perform():
            victim.stop()
            time.sleep(pause)
            world.restart(victim)

        return Action(victim.name, f"SIGTERM {victim.name}, again after {pause:.2f} s", perform)

    return choose


def stall(kind):
    def choose(world, dice):
        victim = dice.choice(world.victims[kind])
        seconds = dice.choice((dice.uniform(0.1, 0.6), dice.uniform(0.5, 4.0),
                               dice.uniform(3.0, 10.0)))
        return Action(victim.name, f"SIGSTOP {victim.name} for {seconds:.2f} s",
                      lambda: victim.stall(seconds))

    return choose


def cut(world, dice):
    proxy = dice.choice(world.proxies)
    return Action(None, f"cut links of {proxy.name}", lambda: proxy.cut(dice_of(dice)))


def half_close(world, dice):
    proxy, way = dice.choice(world.proxies), dice.choice(("up", "down"))
    own = dice_of(dice)
    return Action(None, f"half-close links of {proxy.name} ({way})",
                  lambda: proxy.half_close(own, way))


def delay(world, dice):
    proxy = dice.choice(world.proxies)
    held, seconds = dice.uniform(0.01, 0.3), dice.uniform(0.5, 4.0)

    def perform():
        proxy.set_delay(held)
        time.sleep(seconds)
        proxy.heal()

    return Action(proxy.name, f"{proxy.name} holds everything {held * 1000:.0f} ms "
                  f"for {seconds:.1f} s", perform)


def shut(world, dice):
    proxy = dice.choice(world.proxies)
    ways = dice.choice((("up",), ("down",), ("down",), ("up", "down")))
    seconds = dice.uniform(0.3, 4.0)

    def perform():
        proxy.shut(ways)
        time.sleep(seconds)
        proxy.heal()

    return Action(proxy.name, f"{proxy.name} forwards nothing {'/'.join(ways)} "
                  f"for {seconds:.1f} s", perform)


def catch_up_cut(world, number):
    """While the gateway fetches missed records from the log, cut its clients' connections."""
    gateway = world.gateways[number]
    mark = gateway.mark

    def perform():
        try:
            gateway.wait_for_log("Catching up", after=mark, patience=5)
        except AssertionError:
            return " (the gateway did not catch up)"
        world.proxies[number].cut_all()
        return " (its clients are cut while the gateway catches up)"

    return perform


def outage(world, dice):
    """Both links of a gateway to the broker fail, and come back one after the other."""
    number = dice.randrange(len(world.links))
    links = list(world.links[number])
    kind = dice.choice(("refused", "refused", "a black hole"))
    seconds, apart = dice.uniform(3.0, 8.0), dice.choice((0.0, dice.uniform(0.1, 1.2)))
    dice.shuffle(links)
    is_cut = dice.random() < 0.5
    name = f"links of gateway-{number + 1}"

    def perform():
        for link in links:
            if kind == "refused":
                link.refuse(True)
                link.cut_all()
            else:
                link.shut(("up", "down"))
        time.sleep(seconds)
        follow_up = catch_up_cut(world, number) if is_cut else None
        for link in links:
            link.cut_all()
            link.heal()
            time.sleep(apart)
        return follow_up() if follow_up else ""

    return Action(name, f"{name} are {kind} for {seconds:.1f} s, then {links[0].name} is back "
                  f"{apart:.2f} s before the other", perform)


def link_cut(world, dice):
    link = dice.choice([link for pair in world.links for link in pair])
    return Action(None, f"cut {link.name}", link.cut_all)


def burst(world, dice):
    feeder = dice.choice(world.victims["feeder"])
    count = dice.randint(300, 4000)
    return Action(None, f"{count} quotes at once from {feeder.name}",
                  lambda: feeder.burst(count))


def drop_lines(world, dice):
    feeder = dice.choice(world.wire_feeders)
    count = dice.randint(1, 600)
    return Action(None, f"{count} lines of {feeder.name} get lost on the way",
                  lambda: feeder.drop_lines(count))


def pause_feeders(world, dice):
    seconds = dice.uniform(0.5, 1.5)
    return Action(None, f"no quotes for {seconds:.1f} s",
                  lambda: [f.pause(seconds) for f in world.victims["feeder"]])


def new_client(world, dice):
    mode, own = dice.choice(("all", "merge")), dice_of(dice)

    def perform():
        if len(world.clients) < CLIENTS_MAX:
            world.add_client(mode, own)

    return Action(None, f"a new client joins, mode {mode}", perform)


def stop_reading(world, dice):
    client = dice.choice(world.listeners)
    seconds, count = dice.uniform(0.5, 5.0), dice.randint(0, 6000)
    feeder = dice.choice(world.victims["feeder"])

    def perform():
        client.stop_reading(seconds)
        feeder.burst(count)

    return Action(None, f"{client.name} stops reading for {seconds:.1f} s, "
                  f"{count} quotes from {feeder.name}", perform)


def disk_full(world, dice):
    """The store fails: the broker keeps publishing, reports that it cannot store, and recovers
    later."""
    seconds = dice.uniform(2.0, 6.0)
    feeder = dice.choice(world.victims["feeder"])

    def perform():
        until = time.monotonic() + seconds
        before = world.head()
        is_reported = False
        world.disk.fill()
        try:
            while time.monotonic() < until or (not is_reported and time.monotonic() < until + 10):
                feeder.burst(500)  # enough data that it cannot fit into the remaining space
                is_reported = is_reported or world.durability() is False
                time.sleep(0.2)
            try:
                pregon.eventually(world.head, lambda head: head > before, "a quote on a full disk")
            except pregon.Lost as e:
                world.add_fault("disk", str(e))
        finally:
            world.disk.clear()
        try:
            pregon.eventually(world.durability, lambda d: d is not False,
                              "health's durable, after the disk had room again")
        except pregon.Lost as e:
            world.add_fault("disk", str(e))
        world.full_disks.append(is_reported)
        return "" if is_reported else " (the health route did not report it)"

    return Action("broker", f"the disk is full for {seconds:.1f} s", perform)


def dice_of(dice):
    """Random numbers for the action itself, so that its duration does not change later choices."""
    return type(dice)(dice.getrandbits(64))


# weight, action, what the run must have for it
TABLE = [
    (4, kill("broker"), "store"),
    (2, stop("broker"), "store"),
    (2, stall("broker"), None),
    (4, kill("gateway"), None),
    (2, stop("gateway"), None),
    (3, stall("gateway"), None),
    (3, kill("feeder"), None),
    (2, stop("feeder"), None),
    (2, stall("feeder"), None),
    (5, cut, None),
    (3, half_close, None),
    (3, delay, None),
    (4, shut, None),
    (4, outage, None),
    (2, link_cut, None),
    (4, burst, None),
    (3, drop_lines, None),
    (2, pause_feeders, None),
    (2, new_client, None),
    (3, stop_reading, None),
    (1, disk_full, "disk"),
]


def choose(world, dice):
    """The next action."""
    table = [(weight, what) for weight, what, needs in TABLE if not needs or needs in world.has]
    (what,) = dice.choices([what for _, what in table], [weight for weight, _ in table])
    return what(world, dice)
