"""The report of a chaos run: the result for each rule, the faults, and a file of the actions."""

import os

import history_check

HARNESS_RULES = {
    "settles": "after the chaos every client receives every quote that it subscribed to",
    "ends": "processes end only on request, and with the right exit code",
    "feeders": "the broker keeps every line that it acknowledged to a feeder",
    "disk": "a full disk stops no quote, and the broker recovers from it",
    "sanitizers": "no sanitizer reports a fault",
    "harness": "the chaos program itself has no error",
}


def print_result(world, faults, costs):
    rows = []  # (name, promise, faults)
    for rule, text in history_check.RULES.items():
        rows.append((rule, text, [f"{f.subject}: {f.text}" for f in faults[rule]]))
    for rule, text in HARNESS_RULES.items():
        rows.append((rule, text, [t for r, t in world.run_faults if r == rule]))
    for what in ("memory", "descriptors"):
        rows.append((what, "does not grow above its limit",
                     [f"{name}: {text}" for w, name, text, is_well in costs
                      if w == what and not is_well]))
    print()
    for name, text, wrong in rows:
        print(f"{'ok  ' if not wrong else 'FAIL'} {name:12} {text}"
              + (f": {len(wrong)} faults, first: {wrong[0]}" if wrong else ""))
    for what, name, text, _ in costs:
        print(f"     {what:12} {name}: {text}")
    for feeder in world.feeders:
        lifetimes = [one for one in world.history.lifetimes if one.feed == feeder.name]
        print(f"     {'quotes':12} {feeder.name}: {feeder.written} in {len(lifetimes)} lifetimes, "
              f"{sum(lifetime.kept for lifetime in lifetimes)} known to be received, "
              f"{feeder.lost} named as lost")
    told = sum(len(h.losses) for h in world.history.clients)
    print(f"     {'losses told':12} {told}, of feeds: "
          f"{sum(1 for h in world.history.clients for x in h.losses.values() if x.feed)}")
    if world.full_disks:
        print(f"     {'full disks':12} {len(world.full_disks)}, health said not durable in "
              f"{sum(world.full_disks)}")
    reasons = {}
    for client in world.clients:
        for end, count in client.reasons.items():
            reasons[end] = reasons.get(end, 0) + count
    for end, count in sorted(reasons.items(), key=lambda r: -r[1])[:12]:
        print(f"     {'ended':12} {count} connections: {end}")
    return not any(wrong for _, _, wrong in rows)


def print_faults(world, faults):
    for rule in ("hole", "twice", "rising", "unique", "resume", "logged", "newest", "back", "odd"):
        for fault in faults[rule][:2]:
            print()
            print("\n".join(history_check.events_around(world.history, fault)))


def write_actions(world):
    with open(os.path.join(world.directory, "actions.log"), "w", encoding="utf-8") as f:
        print(f"seed {world.seed}; time 0 is {world.history.began:.3f} in the other logs", file=f)
        for begun, ended, text in world.history.actions:
            print(f"{begun:9.3f} {ended or begun:9.3f} {text}", file=f)
    with open(os.path.join(world.directory, "connections.log"), "w", encoding="utf-8") as f:
        for client in world.history.clients:
            print(f"{client.name} {client.mode} {','.join(client.patterns)}", file=f)
            for c in client.connections:
                print("  " + history_check.connection_line(c), file=f)
