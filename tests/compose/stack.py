"""The stack with its own name, ports and addresses; it never changes anything that it did not
create."""

import http.client
import json
import os
import random
import re
import secrets
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from engine import ROOT, run

PATIENCE = 60  # seconds until a test counts as lost


class Lost(AssertionError):
    """A condition that a test waited for did not become true."""


def eventually(look, until=bool, what="it", patience=PATIENCE):
    deadline = time.monotonic() + patience
    while True:
        seen = look()
        if until(seen):
            return seen
        if time.monotonic() > deadline:
            raise Lost(f"{what} did not come true; last seen: {str(seen)[:2000]}")
        time.sleep(0.2)


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Stack:
    def __init__(self, engine):
        self.engine = engine
        self.name = f"pregontest{secrets.token_hex(3)}"
        self.port, self.tls_port = free_ports(2)
        self.directory = tempfile.TemporaryDirectory(prefix="pregon-compose-")
        # Only these variables: neither a .env file nor the user's environment may become a setting.
        self.env = {
            **{k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "DOCKER_HOST")},
            "BASE": engine.base(), "IMAGE_TAG": "test", "PORT": str(self.port),
            "TLS_PORT": str(self.tls_port), "SUBNET": f"10.213.{random.randrange(8, 250)}",
            "COMPOSE_INTERACTIVE_NO_CLI": "0",
        }
        self.no_env = os.path.join(self.directory.name, "env")
        with open(self.no_env, "w", encoding="ascii"):
            pass
        self.feeds = []

    def command(self, *args):
        return [*self.engine.compose, "-p", self.name, "--env-file", self.no_env,
                "-f", os.path.join(ROOT, "docker-compose.yml"), *args]

    def compose(self, *args, patience=300):
        done = subprocess.run(
            self.command(*args), env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=patience, check=False, errors="replace",
        )
        if done.returncode:
            raise RuntimeError(f"compose {' '.join(args)}: {done.stdout[-4000:]}")
        return done.stdout

    # containers and addresses

    def containers(self, service):
        """Ids of the containers of a service, the oldest first; without those made by `run`."""
        filters = [f"label=com.docker.compose.project={self.name}",
                   f"label=com.docker.compose.service={service}",
                   "label=com.docker.compose.oneoff=False"]
        out = run(
            "docker", "ps", "-q", "--no-trunc", *(x for f in filters for x in ("--filter", f))
        )
        return out.split()[::-1]

    def inspect(self, container):
        return json.loads(run("docker", "inspect", container))[0]

    def address(self, container, network):
        return self.inspect(container)["NetworkSettings"]["Networks"][f"{self.name}_{network}"][
            "IPAddress"
        ]

    def inside(self, container, *command, check=True, patience=60):
        return run("docker", "exec", container, *command, check=check, patience=patience)

    def kill_inside(self, container):
        """Kill everything in the container except its init, like a crash."""
        self.inside(container, "sh", "-c", "kill -s KILL -- -1", check=False)

    def is_healthy(self, service):
        found = self.containers(service)
        return bool(found) and all(
            self.inspect(c)["State"].get("Health", {}).get("Status") == "healthy" for c in found
        )

    def wait_healthy(self, service):
        eventually(lambda: self.is_healthy(service), what=f"{service}: healthy")

    # logs and answers

    def get(self, path, headers=None, port=None, tls=None, method="GET", patience=PATIENCE):
        """(status, headers, body) through the balancer."""
        if tls:
            connection = http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=patience,
                                                     context=tls)
        else:
            connection = http.client.HTTPConnection(
                "127.0.0.1", port or self.port, timeout=patience
            )
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def page(self, name):
        """The answer of a route as a dict, or None if there is none."""
        try:
            status, _, body = self.get("/cotizaciones/" + name)
        except (OSError, http.client.HTTPException):
            return None
        return json.loads(body) if status == 200 else None

    def gateways(self):
        """Names and connections of the gateways that the broker knows."""
        status = self.page("websocket_status") or {"gateways": [], "complete": False}
        return {g["name"]: g["active_connections"] for g in status["gateways"]} \
            if status["complete"] else {}

    def get_inside(self, container, host, path, *headers):
        """The body of a route, requested by bash in a container: the images have no other
        client."""
        request = "".join(
            f"{line}\\r\\n"
            for line in (
                f"GET {path} HTTP/1.1",
                f"Host: {host}:8000",
                *headers,
                "Connection: close",
                "",
            )
        )
        out = self.inside(container, "bash", "-c",
                          f"exec 3<>/dev/tcp/{host}/8000; printf '{request}' >&3; cat <&3")
        return json.loads(out.split("\n\n", 1)[1])

    # actions

    def scale(self, count):
        self.compose("up", "-d", "--no-build", "--scale", f"gateway={count}")
        eventually(lambda: len(self.gateways()), lambda n: n == count, f"{count} gateways")
        self.wait_usable(count)

    def wait_usable(self, count):
        """Wait until the balancer sends clients to each gateway."""
        (balancer,) = self.containers("balancer")
        eventually(
            lambda: self.inside(balancer, "/usr/local/lib/balancer/check", check=False),
            lambda out: out.startswith(f"{count} gateways"),
            f"{count} gateways in the balancer",
        )

    def feed(self):
        """A second feeder that counts: `run feeder --source -`."""
        counter = Counter(self.command("run", "--rm", "-T", "feeder", "--source", "-"), self.env)
        self.feeds.append(counter)
        return counter

    def logs(self):
        return run(*self.command("logs", "--no-color", "--tail", "150"), check=False, patience=60,
                   env=self.env)

    def labelled(self):
        """All containers, networks and volumes with our name."""
        label = f"label=com.docker.compose.project={self.name}"
        return {
            kind: run("docker", *command, "--filter", label, "-q").split()
            for kind, command in (("containers", ["ps", "-a"]), ("networks", ["network", "ls"]),
                                  ("volumes", ["volume", "ls"]))
        }

    def down(self):
        for feed in self.feeds:
            feed.stop()
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "10")
        left = self.labelled()["containers"]
        if left:
            run("docker", "rm", "-f", *left)

    # TLS

    def certificate(self):
        """A self-signed one: (path of the file the balancer gets, what trusts it)."""
        key, cert, both = (os.path.join(self.directory.name, n) for n in ("key", "cert", "pem"))
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
            "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)
        with open(both, "w", encoding="ascii") as out:
            for path in (cert, key):
                with open(path, encoding="ascii") as part:
                    out.write(part.read())
        os.chmod(self.directory.name, 0o755)
        os.chmod(both, 0o644)
        return both, ssl.create_default_context(cafile=cert)


class Counter:
    """Feeds 1, 2, 3, … as quotes of COUNT."""

    def __init__(self, command, env):
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""
        self.number = 0
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self.write, self.read)]
        for thread in self.threads:
            thread.start()

    def write(self):
        while not self.is_over.wait(0.05):
            try:
                self.process.stdin.write(b'{"symbol":"COUNT","last":%d}\n' % (self.number + 1))
                self.process.stdin.flush()
            except OSError:
                return
            self.number += 1

    def read(self):
        for line in self.process.stdout:
            self.said = (self.said + line)[-20000:]

    def stop(self):
        """End of input: it waits until all is received.  Its exit code."""
        self.is_over.set()
        self.threads[0].join()
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
