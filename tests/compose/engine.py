"""A Docker engine, Compose and a base image: the installed ones, or our own for this run.

An engine that this module starts keeps everything under STATE and a directory of the run, so that
its images and the pid file of a killed engine do not disturb another engine. Its changes of the
network are undone when it stops. Images stay in STATE, which makes the next run quick. """

import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STATE = "/var/cache/pregon-test-compose"
OUR_BASE = "pregon-test-base:bookworm"  # made here where no base can be pulled
FORWARD = "/proc/sys/net/ipv4/ip_forward"
PR_SET_PDEATHSIG = 1


class NotHere(Exception):
    """Raised if there is no engine; the text is the reason."""


def run(*command, patience=60, check=True, env=None, **how):
    """Run a command and return its output, with a timeout."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=patience,
        check=False, errors="replace", env={**os.environ, **(env or {})}, **how,
    )
    if check and done.returncode:
        raise RuntimeError(
            f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-4000:]}"
        )
    return done.stdout


def works(*command):
    try:
        run(*command, stdin=subprocess.DEVNULL)
    except (OSError, RuntimeError, subprocess.TimeoutExpired):
        return False
    return True


class Engine:
    def __init__(self):
        self.process = None
        self.directory = None
        if not works("docker", "info"):
            if os.geteuid() != 0:
                raise NotHere("no Docker engine answers, and only root can start one")
            if not shutil.which("dockerd"):  # otherwise the user chose an engine: use that one
                self.install()
            if not self.find_compose():
                raise NotHere("neither `docker compose` nor docker-compose is here")
            self.start()
        elif not self.find_compose():
            raise NotHere(
                "a Docker engine answers, but neither `docker compose` nor docker-compose is here"
            )

    def find_compose(self):
        for command in (["docker", "compose"], ["docker-compose"]):
            if works(*command, "version"):
                self.compose = command
                return True
        return False

    def install(self):
        try:
            print(run(os.path.join(ROOT, "tools", "install-deps"), "containers", patience=600))
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
            raise NotHere(f"no Docker engine answers, and none can be installed: {e}") from e

    def start(self):
        if not shutil.which("dockerd"):
            raise NotHere("no Docker engine answers, and there is no dockerd to start")
        self.directory = tempfile.mkdtemp(prefix="pregon-engine-")
        self.log = os.path.join(self.directory, "log")
        self.before = Network()
        address = f"unix://{self.directory}/docker.sock"
        parent = os.getpid()

        def die_with_us():
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--host", address, "--data-root", STATE,
                 "--exec-root", os.path.join(self.directory, "exec"),
                 "--pidfile", os.path.join(self.directory, "pid")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=die_with_us,
            )
        os.environ["DOCKER_HOST"] = address
        deadline = time.monotonic() + 60
        while not works("docker", "info"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.log, encoding="utf-8", errors="replace") as log:
                    why = log.read()[-1500:]
                self.stop()
                raise NotHere(f"dockerd does not start here: {why}")
            time.sleep(0.1)

    def stop(self):
        """End the engine, only if we started it."""
        if not self.process:
            return
        # Remove the images of older sources; the newer layers make the next run quick.
        run("docker", "image", "prune", "-f", "--filter", "until=12h", patience=120, check=False)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        os.environ.pop("DOCKER_HOST", None)
        self.before.restore()
        shutil.rmtree(self.directory, ignore_errors=True)

    def base(self):
        """The image to build on."""
        wanted = os.environ.get("BASE") or "debian:bookworm-slim"
        if works("docker", "image", "inspect", wanted):
            return wanted
        if works("timeout", "120", "docker", "pull", "-q", wanted):
            return wanted
        if os.environ.get("BASE"):
            raise NotHere(f"BASE={wanted} is not there and cannot be pulled")
        if not works("docker", "image", "inspect", OUR_BASE):
            bootstrap()
        return OUR_BASE


class Network:
    """Restores the parts of this machine's network that an engine changes."""

    def __init__(self):
        self.has_bridge = os.path.exists("/sys/class/net/docker0")
        with open(FORWARD, encoding="ascii") as f:
            self.forward = f.read()
        self.rules = {table: self.look(table) for table in ("filter", "nat")}

    def look(self, table):
        return run("iptables", "-w", "-t", table, "-S", check=False).splitlines()

    def restore(self):
        for table, before in self.rules.items():
            new = [line for line in self.look(table) if line not in before]
            commands = [re.sub("^-A", "-D", line) for line in new if line.startswith("-A")]
            chains = [line.split()[1] for line in new if line.startswith("-N")]
            policies = [line for line in before if line.startswith("-P")]
            for line in (*commands, *(f"-F {c}" for c in chains), *(f"-X {c}" for c in chains),
                         *policies):
                run("iptables", "-w", "-t", table, *line.split(), check=False)
        with open(FORWARD, "w", encoding="ascii") as f:
            f.write(self.forward)
        if not self.has_bridge:
            run("ip", "link", "delete", "docker0", check=False)


def bootstrap():
    """A Debian 12 from where this machine gets its packages, as OUR_BASE."""
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)",
               "Created-By: Packages"]
    found = []
    for _ in range(2):
        lines = run(*targets, check=False).splitlines()
        found = sorted({line for line in lines if re.search(r" bookworm\S* main$", line)})
        if any(line.endswith(" bookworm main") for line in found):
            break
        run("apt-get", "update", "-q", patience=300, check=False)  # the lists may be empty
    main = [line.split()[0] for line in found if line.endswith(" bookworm main")]
    if not main:
        raise NotHere("no base image can be pulled, and apt has no Debian 12 to make one from")
    with tempfile.TemporaryDirectory(prefix="pregon-base-") as directory:
        root = os.path.join(directory, "root")
        try:
            run("debootstrap", "--variant=minbase", "bookworm", root, main[0], patience=500)
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as e:
            raise NotHere(f"no base image can be pulled, and none can be made: {e}") from e
        with open(os.path.join(root, "etc/apt/sources.list"), "w", encoding="ascii") as f:
            f.writelines(f"deb {line}\n" for line in found)
        for name in ("var/cache/apt", "var/lib/apt/lists", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(os.path.join(root, name), ignore_errors=True)
            os.makedirs(os.path.join(root, name))
        archive = os.path.join(directory, "root.tar")
        run("tar", "-C", root, "-cf", archive, ".", patience=300)
        run("docker", "import", "-c", 'CMD ["bash"]', archive, OUR_BASE, patience=300)
