"""The processes of a chaos run: their addresses, ends and restarts, and their resource use."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pregon

MIB = 1 << 20


class ChaosProcess(pregon.Process):
    """A process that can be killed, stopped, stalled and started again at the same address."""

    def __init__(self, name, program, settings, *, directory, **how):
        super().__init__(name, program, settings, cwd=directory, **how)
        self.log_path = os.path.join(directory, name + ".log")
        self.log_file = open(self.log_path, "a", encoding="utf-8", buffering=1)
        self.starts = []  # monotonic times of its starts

    def start(self, wait=True):
        self.starts.append(time.monotonic())
        self.log_file.write(f"--- start {len(self.starts)}: {' '.join(self.arguments())}\n")
        return super().start(wait)

    def _take_line(self, stream, text):
        self.log_file.write(f"{time.monotonic():.3f} {stream} {text}\n")
        super()._take_line(stream, text)

    def stop(self, code=0):
        """Wait until the process handles signals: before that, SIGTERM does not end it cleanly."""
        self.wait_for_log("Started pregon-", after=self.mark)
        return super().stop(code)

    def stall(self, seconds):
        self.signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)  # the length of the stall, not a wait
        finally:
            self.signal(signal.SIGCONT)

    @property
    def age(self):
        return time.monotonic() - self.starts[-1]

    def force_kill(self):
        """Kill the process, whatever its state: it must not outlive the run."""
        if self.is_running:
            self.signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


def page(port, name, timeout=3.0):
    """The JSON answer of a gateway's route; {} if the gateway does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/cotizaciones/{name}",
                                    timeout=timeout) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        with contextlib.suppress(ValueError):
            return json.load(e)
    except (OSError, ValueError):
        pass
    return {}


def durability(health):
    """Whether quotes are stored, according to the health route; None if unknown."""
    broker = health.get("broker", {})
    for part in (broker, broker.get("store") or {}, health.get("store") or {}, health):
        if isinstance(part, dict) and isinstance(part.get("durable"), bool):
            return part["durable"]
    return None


# --- the disk the store is on ---------------------------------------------------------------


MARK = "PREGON_CHAOS_MOUNTS"


def enter_own_mounts():
    """Run in a mount namespace of our own: its mounts end with this process."""
    if os.environ.get(MARK) or os.geteuid() != 0 or not shutil.which("unshare"):
        return
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if subprocess.run(unshare + ["true"], stderr=subprocess.DEVNULL).returncode == 0:
        os.environ[MARK] = "1"
        os.execvp(unshare[0], unshare + sys_argv())


def sys_argv():
    import sys

    return [sys.executable] + sys.orig_argv[1:]


class Disk:
    """A small file system for the store that can be filled; without root just a directory."""

    def __init__(self, path, mib):
        self.path = path
        self.mib = mib
        os.makedirs(path)
        self.is_small = bool(os.environ.get(MARK)) and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "pregon-chaos", path],
            stderr=subprocess.DEVNULL).returncode == 0
        self.filler = os.path.join(path, "filler")

    def fill(self):
        with open(self.filler, "wb", buffering=0) as f:
            for size in (MIB, 4096, 1):
                with contextlib.suppress(OSError):
                    while f.write(b"\0" * size) == size:
                        pass

    def clear(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.filler)

    def unmount(self, keep_in=None):
        if not self.is_small:
            return
        self.clear()
        if keep_in:
            shutil.copytree(self.path, keep_in, dirs_exist_ok=True)
        subprocess.run(["umount", "-l", self.path], check=False)


# --- resources of processes --------------------------------------------------------------------


class Costs:
    """Compares open descriptors with those before the chaos, and memory with that after warm-up."""

    # Seconds after a start until memory is first measured, and until it is checked.
    WARM, OLD = 10.0, 30.0
    SPARE_DESCRIPTORS = 8
    SPARE_MEMORY = {"broker": 80 * MIB, "gateway": 64 * MIB, "feeder": 72 * MIB}

    def __init__(self, processes):
        self.processes = processes
        self.descriptors = {a.name: a.descriptors_open() for a in processes}
        self.warm = {}  # (name, pid) -> bytes

    def look(self):
        for a in self.processes:
            key = (a.name, a.process.pid)
            if a.age > self.WARM and key not in self.warm and a.is_running:
                with contextlib.suppress(OSError, ValueError, IndexError):
                    self.warm[key] = a.rss()

    def check_memory(self):
        """[(name, text, is within the limit)]"""
        rows = []
        for a in self.processes:
            spare = self.SPARE_MEMORY[a.program] * (4 if pregon.IS_SANITIZED else 1)
            warm = self.warm.get((a.name, a.process.pid))
            if warm is None or a.age < self.OLD:
                rows.append((a.name, f"ran for only {a.age:.0f} s: not checked", True))
                continue
            now = a.rss()
            rows.append((a.name, f"{warm / MIB:.1f} MiB warm, {now / MIB:.1f} at the end "
                         f"(allowed +{spare // MIB})", now <= warm + spare))
        return rows

    def check_descriptors(self, patience):
        """After the clients have gone."""
        rows = []
        for a in self.processes:
            before = self.descriptors[a.name]
            limit = before + self.SPARE_DESCRIPTORS
            try:
                now = pregon.eventually(a.descriptors_open, lambda n: n <= limit,
                                        patience=patience)
                is_well = True
            except pregon.Lost:
                now, is_well = a.descriptors_open(), False
            rows.append((a.name, f"{before} before, {now} after "
                         f"(allowed +{self.SPARE_DESCRIPTORS})", is_well))
        return rows
