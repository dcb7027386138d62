"""All processes and peers of one test, and how they end."""

import os
import signal
import subprocess
import tempfile

import zmq

from .basics import PATIENCE, SANITIZER, STREAM, free_address, free_port
from .broker_client import Control, Locker
from .client import Client
from .event_client import EventClient
from .feed import Feed
from .http_client import connect, handshake_bytes, read_answer
from .process import Process
from .proxy import Proxy


class System:
    """All processes and peers of one test; end() stops everything and checks how it ended."""

    all = []  # of the running test, for the logs of a failing test

    def __init__(self):
        System.all.append(self)
        self.directory = tempfile.TemporaryDirectory(prefix="pregon-")
        self.context = zmq.Context()
        self.processes = []
        self.peers = []  # things with close()
        self.is_over = False

    def path(self, name, text=None):
        path = os.path.join(self.directory.name, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        return path

    def process(self, program, settings, wait=True, name=None, **how):
        count = sum(p.program == program for p in self.processes)
        process = Process(
            name or (f"{program}{count + 1}" if count else program),
            program,
            settings,
            cwd=self.directory.name,
            **how,
        )
        self.processes.append(process)
        return process.start(wait)

    def broker(self, wait=True, env=None, flags=(), descriptors=None, **settings):
        anywhere = {f"broker_{key}": free_address() for key in ("ingest", "publish", "control")}
        return self.process("broker", {**anywhere, **settings}, wait, env=env, flags=flags,
                            descriptors=descriptors)

    def gateway(self, broker=None, wait=True, env=None, flags=(), descriptors=None, **settings):
        """Without a broker, the gateway gets addresses that no program listens on."""
        if broker is None:
            nobody = {"broker_publish": free_address(), "broker_control": free_address()}
        else:
            nobody = {k: broker.settings[k] for k in ("broker_publish", "broker_control")}
        return self.process("gateway", {"port": free_port(), **nobody, **settings}, wait, env=env,
                            flags=flags, descriptors=descriptors)

    def feeder(self, broker, source, wait=True, env=None, flags=(), stdin=None, **settings):
        if source == "-" and stdin is None:
            stdin = subprocess.PIPE
        where = {k: broker.settings[k] for k in ("broker_ingest", "broker_control")}
        return self.process("feeder", {"source": source, **where, **settings}, wait, env=env,
                            flags=flags, stdin=stdin)

    def start(self, **settings):
        """A broker and a gateway with those settings."""
        broker = self.broker()
        return broker, self.gateway(broker, **settings)

    def add(self, peer):
        self.peers.append(peer)
        return peer

    def feed(self, broker, name="feed", wait=True, **hello):
        feed = self.add(Feed(self.context, broker, name, **hello))
        return feed.wait_granted() if wait else feed

    def proxy(self, address):
        return self.add(Proxy(address))

    def control(self, broker):
        return self.add(Control(self.context, broker))

    def locker(self, broker, owner):
        return self.add(Locker(self.context, broker, owner))

    def client(self, gateway, query="", **how):
        return self.add(Client(gateway, query, **how))

    def events(self, gateway, query="", **how):
        return self.add(EventClient(gateway, query, **how))

    def connect(self, gateway, **how):
        return self.add(connect(gateway, **how))

    def handshake(self, gateway, receive_buffer=None, **how):
        """Perform a handshake by hand; the answer."""
        sock = self.connect(gateway, receive_buffer=receive_buffer)
        how.setdefault("host", f"127.0.0.1:{gateway.port}")
        sock.sendall(handshake_bytes(**how))
        return read_answer(sock)

    def raw_client(self, gateway, query="", **how):
        answer = self.handshake(gateway, path=STREAM + query, **how)
        assert answer.status == 101, answer
        return answer.socket

    def end(self):
        """Everything stops; each process must have ended as it should, and cleanly."""
        wrong = []
        for peer in self.peers:
            try:
                if isinstance(peer, Client):
                    peer.abort()
                else:
                    peer.close()
            except Exception as e:  # the others must be closed all the same
                wrong.append(f"closing {type(peer).__name__}: {e!r}")
        # Against the flow, so that a broker still hears the others' goodbye.
        order = {"feeder": 0, "driver": 0, "tail": 0, "gateway": 1, "broker": 2}
        for p in sorted(self.processes, key=lambda p: order.get(p.program, 0)):
            try:
                if p.is_running:
                    p.signal(signal.SIGCONT)  # a test may have stopped it
                    p.stop()
            except AssertionError as e:
                wrong.append(str(e))
                if p.is_running:
                    p.process.kill()
                    p.process.wait()
        for p in self.processes:
            for reader in p.readers:
                reader.join(PATIENCE)
            if p.process.stdin:
                try:
                    p.process.stdin.close()
                except OSError:
                    pass
            if p.process.returncode not in p.expected:
                wrong.append(f"{p.name} ended with {p.process.returncode}")
            wrong += [f"{p.name}: {text}" for _, text in p.lines if SANITIZER.search(text)]
        self.context.term()
        self.directory.cleanup()
        self.is_over = True
        assert not wrong, "\n".join(wrong)
