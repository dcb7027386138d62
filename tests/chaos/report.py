"""What a chaos run found: the verdict on each rule, its faults, and its actions in a file."""

import os

import verdict

HARNESS_RULES = {
    "settles": "when the chaos ends, everything reaches everybody",
    "ends": "processes end when told to and only then, with the right code",
    "feeders": "what was acknowledged to a feeder stays acknowledged",
    "disk": "a full disk stops no quote, and is got over",
    "sanitizers": "no sanitizer has anything to report",
    "harness": "this program itself works",
}


def print_verdict(world, faults, costs):
    rows = []  # (name, promise, faults)
    for rule, text in verdict.RULES.items():
        rows.append((rule, text, [f"{f.who}: {f.text}" for f in faults[rule]]))
    for rule, text in HARNESS_RULES.items():
        rows.append((rule, text, [t for r, t in world.complaints if r == rule]))
    for what in ("memory", "descriptors"):
        rows.append((what, "grows not beyond what is allowed",
                     [f"{name}: {text}" for w, name, text, is_well in costs
                      if w == what and not is_well]))
    print()
    for name, text, wrong in rows:
        print(f"{'ok  ' if not wrong else 'FAIL'} {name:12} {text}"
              + (f": {len(wrong)} faults, first: {wrong[0]}" if wrong else ""))
    for what, name, text, _ in costs:
        print(f"     {what:12} {name}: {text}")
    for feeder in world.feeders:
        lives = [life for life in world.history.lives if life.feed == feeder.name]
        print(f"     {'quotes':12} {feeder.name}: {feeder.written} in {len(lives)} lives, "
              f"{sum(life.kept for life in lives)} known to be received, "
              f"{feeder.lost} named as lost")
    told = sum(len(h.losses) for h in world.history.hearings)
    print(f"     {'losses told':12} {told}, of feeds: "
          f"{sum(1 for h in world.history.hearings for x in h.losses.values() if x.feed)}")
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
    for rule in ("hole", "twice", "rising", "unique", "resume", "taken", "newest", "back", "odd"):
        for fault in faults[rule][:2]:
            print()
            print("\n".join(verdict.events_around(world.history, fault)))


def write_actions(world):
    with open(os.path.join(world.directory, "actions.log"), "w", encoding="utf-8") as f:
        print(f"seed {world.seed}; time 0 is {world.history.began:.3f} in the other logs", file=f)
        for begun, ended, text in world.history.actions:
            print(f"{begun:9.3f} {ended or begun:9.3f} {text}", file=f)
    with open(os.path.join(world.directory, "connections.log"), "w", encoding="utf-8") as f:
        for hearing in world.history.hearings:
            print(f"{hearing.name} {hearing.mode} {','.join(hearing.patterns)}", file=f)
            for c in hearing.connections:
                print("  " + verdict.connection_line(c), file=f)
