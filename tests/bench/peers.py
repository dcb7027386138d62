"""Other servers, each with its default settings except the number of connections and settings
that cost nothing."""

import os
import shutil
import socket
import subprocess
import tempfile
import time

import servers
from servers import DESCRIPTORS, HERE, Server, free_port

NODE = {**os.environ, "NODE_PATH": "/usr/share/nodejs"}  # where Debian has node's libraries
LISTEN_S = 10


class Uvicorn(Server):
    """FastAPI, one page of code."""

    def __init__(self, **_):
        super().__init__()
        self.ports = [free_port()]
        self.spawn("/usr/bin/python3", os.path.join(HERE, "peer_uvicorn.py"), str(self.ports[0]))


class Node(Server):
    """ws, a page of code."""

    def __init__(self, **_):
        super().__init__()
        self.ports = [free_port()]
        self.spawn("node", os.path.join(HERE, "peer_node.js"), str(self.ports[0]), env=NODE)


class Daemon(Server):
    """A server with a config file; ready when its port is open. Fed by tests/bench/feed.c."""

    program = ()  # and its words, before the file's name
    config = ""
    feed_protocol = ""

    def __init__(self, **_):
        super().__init__()
        self.ports = [free_port()]
        self.folder = tempfile.TemporaryDirectory(prefix="pregon-bench-")
        path = os.path.join(self.folder.name, "config")
        with open(path, "w", encoding="utf-8") as f:
            f.write(
                self.config.replace("@PORT@", str(self.ports[0])).replace(
                    "@FOLDER@", self.folder.name
                )
            )
        with servers.on(servers.SERVER_CORES), \
                open(os.path.join(self.folder.name, "log"), "w", encoding="utf-8") as log:
            self.processes.append(
                subprocess.Popen(
                    [*self.program, path],
                    stdin=subprocess.PIPE,
                    stderr=log,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        try:
            self.wait()
            self.start_feeder("feed", self.feed_protocol, self.ports[0])
        except BaseException:
            self.end()
            raise

    def wait(self):
        until = time.monotonic() + LISTEN_S
        while time.monotonic() < until and self.processes[0].poll() is None:
            with socket.socket() as s:
                if not s.connect_ex(("127.0.0.1", self.ports[0])):
                    return
            time.sleep(0.02)
        with open(os.path.join(self.folder.name, "log"), encoding="utf-8") as f:
            raise RuntimeError(f"{self.program[0]} did not listen: {f.read().strip()[-500:]}")

    def end(self):
        super().end()
        self.folder.cleanup()


class Nats(Daemon):
    program = ("nats-server", "-c")
    config = "listen: 127.0.0.1:@PORT@\nmax_connections: 65536\nlogfile: /dev/null\n"
    protocol = feed_protocol = "nats"


class Mosquitto(Daemon):
    program = ("mosquitto", "-c")
    config = (
        "listener @PORT@ 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nlog_type error\n"
        "user root\n"
    )
    protocol = feed_protocol = "mqtt"


class Nchan(Daemon):
    """nginx with one worker: its WebSockets are nchan's."""

    program = ("nginx", "-e", "stderr", "-c")
    config = """
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off;
master_process off;
error_log stderr error;
pid @FOLDER@/pid;
worker_rlimit_nofile %d;
events { worker_connections %d; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path @FOLDER@/body;
    proxy_temp_path @FOLDER@/proxy;
    fastcgi_temp_path @FOLDER@/fastcgi;
    uwsgi_temp_path @FOLDER@/uwsgi;
    scgi_temp_path @FOLDER@/scgi;
    server {
        listen 127.0.0.1:@PORT@ backlog=4096;
        location = /publish {
            nchan_publisher http;
            nchan_channel_id $arg_symbol;
        }
        location = /ws/cotizaciones {
            nchan_subscriber websocket;
            nchan_channel_id $arg_symbols;
            nchan_channel_id_split_delimiter ",";
            nchan_subscriber_first_message newest;
        }
    }
}
""" % (DESCRIPTORS, DESCRIPTORS)
    feed_protocol = "nchan"


def look():
    """Find out which servers are installed, and how to install the others."""
    if subprocess.run(["/usr/bin/python3", "-c", "import fastapi, uvicorn, websockets"],
                      stderr=subprocess.DEVNULL, check=False).returncode:
        Uvicorn.missing = "uvicorn python3-fastapi python3-websockets"
    if (
        not shutil.which("node")
        or subprocess.run(
            ["node", "-e", "require('ws')"], stderr=subprocess.DEVNULL, env=NODE, check=False
        ).returncode
    ):
        Node.missing = "nodejs node-ws"
    if not shutil.which("nats-server"):
        Nats.missing = "nats-server"
    if not shutil.which("mosquitto"):
        Mosquitto.missing = "mosquitto"
    if not shutil.which("nginx") or not os.path.exists(
        "/usr/lib/nginx/modules/ngx_nchan_module.so"
    ):
        Nchan.missing = "nginx libnginx-mod-nchan"


PEERS = {"nchan": Nchan, "nats": Nats, "mosquitto": Mosquitto, "node ws": Node, "uvicorn": Uvicorn}
servers.SERVERS.update(PEERS)
