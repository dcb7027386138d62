"""Parameters of URLs and members of requests: nothing misspelt is ignored, nothing too long is
cut."""

import json
import urllib.parse

import pytest

import pregon

QUOTES = "/cotizaciones/quotes"
PATHS = {  # routes, and the parameters that each accepts
    QUOTES: "symbols, limit, offset",
    QUOTES + "/X": None,
    QUOTES + "/X/history": "order, since, until, limit, next, format",
    "/cotizaciones/health": None,
    "/cotizaciones/ready": None,
    "/cotizaciones/live": None,
    "/metrics": None,
    "/cotizaciones/websocket_status": "limit, offset",
    "/cotizaciones/locks": "prefix, limit, offset",
    "/cotizaciones/locks/a": None,
    "/cotizaciones/telegram_locks_status": None,
    pregon.STREAM: "symbols, mode, max_hz, trace, since, token",
}


def error(answer, code="bad_request"):
    assert answer.status == 400, answer.body
    assert answer.json()["error"]["code"] == code
    return answer.json()["error"]


@pytest.mark.parametrize("path", PATHS)
def test_an_unknown_parameter_is_named_with_those_that_there_are(shared_system, path):
    system = shared_system
    if not system.processes:
        system.start()
        system.feed(system.processes[0]).quote("X", last="1")
    gateway = system.processes[1]
    is_stream = path == pregon.STREAM
    for query, name in (("symbol=A", "symbol"), ("%53ymbols=A", "Symbols"), ("x", "x"),
                        ("nonce=1&&", "nonce")):
        ask = system.handshake(gateway, path=f"{path}?{query}") if is_stream else \
            gateway.get(f"{path}?{query}")
        said = error(ask, "malformed" if is_stream else "bad_request")
        assert f"'{name}'" in said["message"]
        assert said["hint"] == (f"The parameters of this path are: {PATHS[path]}." if PATHS[path]
                                else "This path has no parameters.")


def test_a_list_may_be_repeated_and_nothing_else(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    for symbol in "ABC":
        feed.quote(symbol, last="1")
    feed.wait_processed()
    got = gateway.page("quotes?symbols=A&limit=5&symbols=B&symbols=")
    assert [q["symbol"] for q in got["quotes"]] == ["A", "B"]
    client = system.client(gateway, "?symbols=A&mode=all&symbols=C,%42")
    assert client.receive("ack")["symbols"] == ["A", "C", "B"]
    for path in (
        "quotes?limit=1&limit=1",
        "quotes?limit=1&%6cimit=2",
        "quotes/A/history?since=1&since=2",
    ):
        assert "more than once" in error(gateway.get("/cotizaciones/" + path))["message"]
    for query in ("mode=all&mode=all", "token=a&token=b", "since=x&since=y"):
        answer = system.handshake(gateway, path=f"{pregon.STREAM}?{query}")
        assert "more than once" in error(answer, "malformed")["message"]


@pytest.mark.parametrize(
    "limit", ["0", "-1", "1001", "99999999999999999999999", "ten", "", "1.5", "+5", "0x10"]
)
def test_a_limit_that_makes_no_sense_is_refused(shared_system, limit):
    system = shared_system
    if not system.processes:
        system.start()
    said = error(system.processes[1].get(f"{QUOTES}?limit={limit}"))
    assert "'limit'" in said["message"] and "from 1 to 1000" in said["hint"]


def test_no_page_of_a_list_leads_back_to_itself(system):
    broker, gateway = system.start(locks_token="sesame-open")
    locker = system.locker(broker, "me")
    locker.acquire("a")
    for path in ("locks?limit=0", "websocket_status?limit=0"):
        assert "next" not in gateway.page(path)


@pytest.mark.parametrize(
    "text, said",
    [
        ("dax", "'dax' in 'symbols' is neither"),
        ("DAX,,cac,X", "'cac' in"),
        ("D*X", "'D*X' in"),
        ("**", "'**' in"),
        ("DAX, CAC", "' CAC' in"),
        ("DAX;CAC", "'DAX;CAC' in"),
        ("A" * 33, "A' in"),
        ("%C3%B1" * 70, "ñ' in"),
        (",", "names no symbol"),
        (",,", "names no symbol"),
        ("A" * 256, "too long"),
    ],
)
def test_the_message_names_the_symbol_that_is_refused(shared_system, text, said):
    system = shared_system
    if not system.processes:
        system.start()
    query = "?symbols=" + text.replace(" ", "%20")
    assert said in error(system.processes[1].get(QUOTES + query))["message"]
    if len(text) < 100 and text.strip(","):
        path = "/cotizaciones/quotes/" + text.replace(" ", "%20")
        answer = system.processes[1].get(path)
        assert f"'{text}' cannot be" in error(answer, "bad_symbol")["message"]


@pytest.mark.parametrize("length", [8192, 8193, 15000])
def test_a_long_list_of_symbols_in_the_url_is_never_everything(system, length):
    broker, gateway = system.start(max_symbols=5000)
    feed = system.feed(broker)
    feed.quote("OTHER", last="1")
    names = [f"S{i:06}" for i in range(length // 8 + 1)]
    text = ",".join(names)[:length]
    client = system.client(gateway, "?symbols=" + text)
    ack = client.receive("ack")
    assert "auto" not in ack and len(ack["symbols"]) == len([s for s in text.split(",") if s])
    assert ack["symbols"][:-1] == names[:len(ack["symbols"]) - 1]


def test_a_too_long_parameter_is_refused_with_the_limit(system):
    broker, gateway = system.start()
    said = error(gateway.get(f"{QUOTES}?symbols=" + "A" * 300))
    assert "255" in said["hint"]
    said = error(gateway.get(f"/cotizaciones/websocket_check?path=/{'x' * 5000}"))
    assert "4095" in said["hint"]


@pytest.mark.parametrize("secret, shown", [
    ("open sesame", "open+sesame"), ("open sesame", "open%20sesame"), ("a+b", "a+b"),
    ("a+b", "a%2Bb"), ("ñ & %=/?", None), ("x" * 256, None), ("+ +", None), ("+ +", "%2b+%2B"),
])
def test_a_token_may_hold_anything_however_it_is_encoded(system, secret, shown):
    broker, gateway = system.start(websocket_token=secret)
    forms = [shown] if shown else [urllib.parse.quote(secret, safe=""),
                                   urllib.parse.quote_plus(secret)]
    for form in forms:
        assert system.handshake(gateway, path=f"{pregon.STREAM}?token={form}").status == 101
        assert gateway.page(f"websocket_check?token={form}")["allowed"] is True
        assert system.handshake(gateway, path=f"{pregon.STREAM}?token={form}x").status == 401
    assert system.handshake(gateway, path=f"{pregon.STREAM}?token={'y' * 3000}").status == 401


def test_websocket_check_judges_the_query_of_a_stream_too(system):
    broker, gateway = system.start()
    for path, code in ((pregon.STREAM + "?symbols=A", "admitted"),
                       (pregon.STREAM + "?symbol=A", "malformed")):
        check = gateway.page("websocket_check?" + urllib.parse.urlencode({"path": path}))
        assert check["code"] == code
    assert "'symbol'" in check["message"]
    check = gateway.page("websocket_check?symbols=A&mode=all&symbol=B")
    assert (check["allowed"], check["code"], check["status"]) == (False, "malformed", 400)
    assert "'symbol'" in check["message"]


@pytest.mark.parametrize("query", [
    "?token={0}&token={0}", "?TOKEN={0}", "?%74oken={0}", "?%54OKEN={0}&x=1", "?a=1;token={0}",
    "?a?token={0}", "%3Ftoken={0}", "?access_token={0}", "?password={0}&Token={0}",
    "?symbols=A%26token={0}", "?token={0}%26{0}",
])
def test_a_secret_in_an_address_is_in_no_log_and_on_no_page(shared_system, query):
    system = shared_system
    if not system.processes:
        system.start(websocket_token="t0ps3cret", log_level="trace")
    gateway = system.processes[1]
    query = query.format("t0ps3cret")
    for path in (pregon.STREAM, "/cotizaciones/health", QUOTES, "/nothing", "/"):
        gateway.get(path + query)
        system.handshake(
            gateway, path=path + query, headers={"Referer": "http://x/?token=t0ps3cret"}
        )
    sock = system.connect(gateway)
    sock.sendall(f"GET /{query} HTTP/9.9\r\n\r\n".encode())
    pregon.read_answer(sock)
    gateway.page("health")
    assert gateway.logged(r'"GET /nothing')
    assert not gateway.logged("t0ps3cret")
    assert "t0ps3cret" not in json.dumps(gateway.status())


def test_the_list_of_processes_shows_no_token(system):
    broker = system.broker()
    for name in ("websocket", "status", "locks"):
        gateway = system.process("gateway", {}, wait=False, flags=[f"--{name}-token=t0ps3cret"])
        gateway.wait_for_log(
            f"flag --{name}-token is refused.*environment variable {name.upper()}_TOKEN")
        gateway.wait_for_exit(2)
        assert not gateway.logged("t0ps3cret")


# --- requests of the stream ----------------------------------------------------------------


@pytest.mark.parametrize("wrong", [
    {"max_hz": -1}, {"max_hz": 0}, {"max_hz": 1e9}, {"max_hz": "5"}, {"trace": 1}, {"since": 5},
    {"since": {"epoch": "x", "seq": 1}}, {"mode": "some"}, {"symbols": "B"}, {"symbols": ["B", 5]},
    {"symbol": ["B"]}, {"maxhz": 5}, {"Mode": "merge"}, {"mode ": "merge"},
], ids=str)
def test_a_request_that_is_refused_changes_nothing(shared_system, wrong):
    system = shared_system
    if not system.processes:
        system.start()
    gateway = system.processes[1]
    client = system.client(gateway, "?symbols=A&mode=merge")
    client.receive("ack")
    before = client.request("list")
    request = {"symbols": ["B"], "mode": "all", "max_hz": 1, "trace": True, **wrong}
    refused = client.request("subscribe", **request)
    assert refused["type"] == "error" and refused["code"] == "bad_request"
    assert f"'{[*wrong][0]}'" in refused["message"]
    after = client.request("list")
    assert {k: v for k, v in after.items() if k not in ("id", "seq")} == \
        {k: v for k, v in before.items() if k not in ("id", "seq")}


@pytest.mark.parametrize("op", ["subscribe", "unsubscribe"])
def test_a_member_that_an_op_does_not_have_is_named(system, op):
    broker, gateway = system.start()
    for protocol in ("pregon.v1.json", "pregon.v1.msgpack"):
        client = system.client(gateway, "?symbols=", subprotocol=protocol)
        members = {"symbols": ["A"]}
        refused = client.request(op, **members, **{"x" * 500: 1})
        assert refused["code"] == "bad_request" and f"'{'x' * 64}'" in refused["message"]
        assert client.request(op, **members)["type"] == "ack"


@pytest.mark.parametrize("mode", ["all", "merge"])
@pytest.mark.parametrize("how", ["url", "op"])
def test_a_position_with_no_symbols_is_answered(system, mode, how):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("A", last="1")
    epoch = system.client(gateway, "?symbols=A").receive("ack")["epoch"]
    for seq in (0, 1, 10**9):
        if how == "url":
            client = system.client(gateway, f"?mode={mode}&since={epoch}:{seq}&symbols=a%20b")
            ack = client.receive("ack")
            assert ack["rejected"] == ["a b"]
        else:
            client = system.client(gateway, f"?symbols=&mode={mode}")
            ack = client.request("subscribe", symbols=[], since={"epoch": epoch, "seq": seq})
        assert ack["symbols"] == []
        assert client.request("ping")["type"] == "ack"


def test_a_position_beyond_the_head_is_answered_as_soon_as_the_broker_confirms_it(system):
    broker, gateway = system.start(log_level="debug")
    feed = system.feed(broker)
    feed.quote("X", last="1")
    epoch = system.client(gateway, "?symbols=X").receive("ack")["epoch"]
    client = system.client(gateway, f"?symbols=X&mode=merge&since={epoch}:1000000")
    assert client.receive("ack")["recovered"] is False
    client.receive("snapshot", symbol="X")
    assert not client.received("heartbeat"), "it waited for longer than a heartbeat"
    for n in range(5):
        client = system.client(gateway, f"?symbols=NEW{n}*&mode=merge&since={epoch}:1000000")
        assert "upstream" not in client.receive("ack"), "the broker is there"
