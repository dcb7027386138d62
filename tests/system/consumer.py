"""Programs on libpregon: the driver that does what a test says, and pregon-tail.

    consumer = consumers.driver(system, broker, "EUR/USD")
    consumer.receive("synced")
    feed.quote("EUR/USD", bid="1.0842", ask="1.0843")
    consumer.receive("quote", symbol="EUR/USD")
"""

import json
import os
import subprocess

import pregon

DRIVER = os.path.join(os.path.dirname(pregon.BIN), "tests", "system", "driver")


class ReportingProcess(pregon.Process):
    """A process that writes a line of JSON for each event."""

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.at = 0

    def messages(self):
        return [json.loads(text) for text in self.log("out")]

    def receive(self, kind=None, where=None, **fields):
        """Wait for the next message of that kind with those fields; earlier messages are
        skipped."""
        found = None

        def look():
            nonlocal found
            while self.at < len(self.lines):
                stream, text = self.lines[self.at]
                self.at += 1
                if stream != "out":
                    continue
                message = json.loads(text)
                if pregon.matches(message, kind, fields) and (not where or where(message)):
                    found = message
                    return True
            return not any(reader.is_alive() for reader in self.readers)

        with self.changed:
            self.changed.wait_for(look, pregon.PATIENCE)
        if not found:
            raise pregon.Lost(f"{self.name} never heard {kind} {fields}; "
                              f"last: {self.log('out')[-5:]}")
        return found

    def received(self, kind, **fields):
        """All such messages so far."""
        return [m for m in self.messages() if pregon.matches(m, kind, fields)]

    def numbers(self, symbol="X"):
        """The field n of every quote of that symbol."""
        return [m["n"] for m in self.messages()
                if m["type"] == "quote" and m["symbol"] == symbol]

    def run_command(self, *words):
        """Send a command and wait until it is done."""
        self.write(" ".join(str(w) for w in words) + "\n")
        return self.receive("done", command=words[0])

    def position(self):
        return self.run_command("position")["position"]

    def finish(self):
        """End the program in order: close its input and wait for its exit."""
        self.end_of_input()
        return self.wait_for_exit()


def addresses(broker, **instead):
    return {key: instead.get(key) or broker.settings["broker_" + key]
            for key in ("publish", "control")}


def _started(system, process):
    system.processes.append(process)
    return process.start(wait=False)


def driver(system, broker, *patterns, mode="all", since="-", name=None, **instead):
    where = addresses(broker, **instead)
    count = sum(p.program == "driver" for p in system.processes)
    return _started(system, ReportingProcess(
        name or f"driver{count + 1}", "driver", {}, cwd=system.directory.name,
        stdin=subprocess.PIPE,
        command=[DRIVER, where["publish"], where["control"], mode, since, *patterns]))


def tail(system, broker, *patterns, flags=(), wait=False, **settings):
    where = {"broker_" + key: value for key, value in addresses(broker).items()}
    count = sum(p.program == "tail" for p in system.processes)
    return _started(system, ReportingProcess(f"tail{count + 1}", "tail", {**where, **settings},
                                 cwd=system.directory.name, flags=[*flags, *patterns]))
