"""A peer that claims positions, records and lines the log does not have, beside a client that
behaves."""

import threading
import time

import msgpack
import pytest
import zmq

import pregon

MIB = 1024 * 1024
QUOTES = 100


class Liar:
    """Hellos with false knowledge of the log, as fast as the broker answers; start, stop."""

    def __init__(self, address, epoch, head):
        self.address, self.epoch, self.head = address, epoch, head
        self.claims = 0
        self.is_over = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.is_over = True
        self.thread.join(pregon.PATIENCE)

    def _hello(self, n):
        known = [{"known_seq": self.head + n}, {"known_seq": 2**64 - 1},
                 {"known_seq": 1, "known_record": 1, "known_accepted": n},
                 {"known_record": 2**63, "known_accepted": 0}][n % 4]
        role = ["consumer", "gateway", "feeder"][n % 3]
        return {"op": "hello", "id": n + 1, "role": role, "name": f"liar{n % 8}", "owner": f"o{n}",
                "acked": 2**63 + n, "oldest": 1, "newest": 1, "known_epoch": self.epoch, **known}

    def _run(self):
        context = zmq.Context()
        control = context.socket(zmq.DEALER)
        control.linger = 0
        control.connect(self.address)
        while not self.is_over:
            control.send(msgpack.packb(self._hello(self.claims)))
            if control.poll(1000):
                answer = msgpack.unpackb(control.recv(), strict_map_key=False)
                if "seq" in answer:
                    self.epoch, self.head = (
                        answer["epoch"],
                        answer["seq"],
                    )  # a new epoch is claimed, too
            self.claims += 1
        control.close()
        context.term()


@pytest.mark.parametrize(
    "has_begun", [False, True], ids=["a log that goes on", "a log that has begun"]
)
def test_false_claims_begin_one_epoch_at_most_and_cost_a_client_nothing(system, has_begun):
    broker = system.broker(store="sqlite:" + system.path("pregon.db"))
    if not has_begun:
        feed = system.feed(broker, name="before")
        feed.quote("X", last="1")
        feed.wait_processed()
        broker.stop()
        broker.start()
    gateway, feed, control = system.gateway(broker), system.feed(broker), system.control(broker)
    client = system.client(gateway, "?symbols=X&mode=all")
    client.receive("ack")
    n = 0

    def quotes():
        nonlocal n
        took = []
        for _ in range(QUOTES):
            n += 1
            began = time.perf_counter()
            feed.quote("X", last="1", n=n)
            client.receive(("quote", "snapshot"), n=n)
            took.append(time.perf_counter() - began)
        return sorted(took)

    quiet, before = quotes(), broker.rss()
    status = control.request("status")
    liar = Liar(broker.settings["broker_control"], status["epoch"], status["seq"]).start()
    try:
        pregon.eventually(lambda: liar.claims, lambda count: count > 200, "claims are answered")
        attacked = quotes()
        pregon.eventually(lambda: liar.claims, lambda count: count > 1000, "claims are answered")
    finally:
        liar.stop()
    quotes()
    resets = client.received("reset")
    assert len(resets) == (0 if has_begun else 1)
    epochs = {status["epoch"], control.request("status")["epoch"]}
    assert len(epochs) == 1 + len(resets)
    seen = [m["n"] for m in client.messages if m["type"] == "quote"]
    assert seen == sorted(set(seen)) and set(range(1, n + 1)) <= {
        m["n"] for m in client.messages if m["type"] in ("quote", "snapshot") and "n" in m}
    assert broker.rss() - before < 32 * MIB * (8 if pregon.IS_SANITIZED else 1)
    assert control.request("status")["seq"] < 10**6
    print(
        f"p99 of a quote {1000 * quiet[-2]:.2f} ms, with {liar.claims} claims "
        f"{1000 * attacked[-2]:.2f} ms"
    )
