"""pregon.js publishes: over HTTP and over the stream, once also after a lost answer."""

import json
import signal

import pytest

import pregon
from node import NODE, PACKAGE, follow

TOKEN = "t0ps3cret"


def values(gateway, symbol="X"):
    """The prices that the log has, oldest first."""
    page = gateway.page(f"quotes/{symbol}/history?order=oldest")
    return [record["last"] for record in page["records"] if record["type"] == "quote"]


class Publisher(pregon.Process):
    """A Node program that calls publish() once and prints the answer or the error."""

    def __init__(self, system, url, quotes, **options):
        code = system.path("publish.mjs", f"""
            import {{ publish }} from "{PACKAGE}/pregon.js";
            const [url, quotes, options] = process.argv.slice(2);
            publish(url, JSON.parse(quotes), JSON.parse(options)).then(
              (answer) => console.log(JSON.stringify(["answer", answer])),
              ({{ ...error }}) => console.log(JSON.stringify(["error", error])),
            ).then(() => process.exit(0)); // fetch keeps its connection for some seconds
        """)
        super().__init__(
            "publish", "publish", {}, cwd=system.directory.name,
            command=[NODE, code, url, json.dumps(quotes), json.dumps(options)],
        )
        system.processes.append(self)
        self.start(wait=False)

    def result(self):
        """What it printed; the program has ended."""
        pregon.eventually(lambda: not self.is_running, what="the end of publish()")
        return json.loads(self.log("out")[0])


def test_publish_returns_positions_and_the_reasons_of_refused_quotes(system):
    broker, gateway = system.start(publish_token=TOKEN)
    kind, answer = Publisher(
        system, gateway.url, [{"symbol": "X", "last": 1e-7}, {"symbol": "X", "last": "x"}],
        token=TOKEN, feed="desk",
    ).result()
    assert (kind, answer["accepted"], answer["refused"]) == ("answer", 1, 1)
    assert answer["feed"] == "desk" and answer["key"]
    assert answer["quotes"][0]["seq"] > 0
    assert answer["quotes"][1]["code"] == "bad_price"
    assert values(gateway) == ["0.0000001"]


def test_publish_waits_for_a_broker_that_is_away(system):
    broker, gateway = system.start(publish_token=TOKEN)
    broker.kill()
    publisher = Publisher(system, gateway.url, {"symbol": "X", "last": "1"}, token=TOKEN)
    gateway.wait_for_log('"POST /cotizaciones/quotes HTTP/1.1" 503')
    broker.start()
    assert publisher.result()[1]["accepted"] == 1
    assert values(gateway) == ["1"]


def test_publish_says_after_its_patience_why_it_failed_and_names_the_key(system):
    broker, gateway = system.start(publish_token=TOKEN)
    broker.kill()
    gateway.wait_for_log("The broker is silent")
    kind, error = Publisher(
        system, gateway.url, {"symbol": "X", "last": "1"}, token=TOKEN, key="k-1", patience=0
    ).result()
    assert (kind, error["code"], error["key"]) == ("error", "broker_away", "k-1")
    gateway.kill()
    kind, error = Publisher(
        system, gateway.url, {"symbol": "X", "last": "1"}, token=TOKEN, key="k-1", patience=0
    ).result()
    assert (kind, error["code"]) == ("error", "no_answer")


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_client_publishes_over_its_stream(system, encoding):
    broker, gateway = system.start(publish_token=TOKEN)
    client = follow(system, gateway, symbols=["X"], encoding=encoding).connected()
    ack = client.call("publish", [{"symbol": "X", "last": 1.25}, {"symbol": "x", "last": "2"}],
                      {"token": TOKEN})
    assert ack["positions"][0] > 0 and ack["positions"][1] == 0
    assert ack["refused"] == [{"index": 1, "code": "bad_symbol", "field": "symbol"}]
    assert client.receive("quote", symbol="X")["last"] == "1.25"
    client.begin("publish", {"symbol": "X", "last": "3"}, {"token": "wrong"})
    assert client.receive("refusal")["code"] == "publish_unauthorized"


def test_a_lost_answer_over_the_stream_creates_no_second_quote(system):
    broker, gateway = system.start(publish_token=TOKEN)
    watcher = follow(system, system.gateway(broker), symbols=["X"], mode="all").connected()
    client = follow(system, gateway, symbols=["X"]).connected()
    for n in range(5):
        gateway.signal(signal.SIGSTOP)
        client.begin("publish", {"symbol": "X", "last": str(n)}, {"token": TOKEN, "key": f"k{n}"})
        if n % 2:  # the request is in the socket of a gateway that dies
            gateway.kill()
            gateway.start()
        else:
            gateway.signal(signal.SIGCONT)
            watcher.receive("quote", last=str(n))
            gateway.kill()  # after it has published; its answer may be lost
            gateway.start()
        ack = client.receive("answer")
        assert ack["key"] == f"k{n}" and ack["positions"][0] > 0
    assert values(gateway) == [str(n) for n in range(5)]
