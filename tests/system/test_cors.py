"""CORS answers have Starlette's statuses and texts, without two of its mistakes.

Starlette 0.26 tells a page that is not allowed which methods and headers would be and that
it may send credentials, and it lets caches mix up the answers to two origins because `Vary`
is missing where the origin was refused.  We do neither; all else must be the same.
"""

import asyncio
import itertools

import pytest

import pregon

OURS, SECURE = "http://a.example", "https://b.example:8443"
FOREIGN = "https://evil.example"
SAFE = {"accept", "accept-language", "content-language", "content-type"}
USED = ["Authorization", "X-Requested-With", "Idempotency-Key", "Last-Event-ID"]
USUAL = SAFE | {name.lower() for name in USED}  # for listed origins
PAGE = "/cotizaciones/live"
ALL_METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

POLICIES = {
    "plain": {"cors_origins": f"{OURS},{SECURE}"},
    "picky": {
        "cors_origins": f'["{OURS}", "{SECURE}"]', "cors_allow_credentials": True,
        "cors_allow_methods": "GET,POST", "cors_allow_headers": "X-Token, x-other",
        "cors_expose_headers": "X-Request-Id,X-Reject-Reason", "cors_max_age": 7,
    },
    "generous": {"cors_origins": OURS, "cors_allow_methods": "*", "cors_allow_headers": "*"},
    "open": {"cors_origins": "*", "cors_expose_headers": "X-Request-Id"},
    "wide open": {"cors_origins": "*", "cors_allow_methods": "*", "cors_allow_headers": "*"},
}


@pytest.fixture(scope="module")
def gateways(shared_system):
    broker = shared_system.broker()
    return {name: shared_system.gateway(broker, **settings) for name, settings in POLICIES.items()}


def ask(gateway, method, origin=None, wanted=None, names=None, path=PAGE, **more):
    headers = {"Origin": origin, "Access-Control-Request-Method": wanted,
               "Access-Control-Request-Headers": names, **more}
    return gateway.get(path, method, {k: v for k, v in headers.items() if v is not None})


def listed(text):
    return {name.strip().lower() for name in text.split(",")} if text else set()


def vary_of(answer):
    """Vary as far as CORS goes: every error has Accept-Language in it."""
    return listed(", ".join(answer.headers.get_all("Vary", []))) - {"accept-language"}


def told(headers):
    """The CORS headers of an answer; lists as sets."""
    prefix = "access-control-"
    seen = {k.lower()[len(prefix) :]: v for k, v in headers.items() if k.lower().startswith(prefix)}
    if "allow-headers" in seen:
        seen["allow-headers"] = listed(seen["allow-headers"])
    return seen


# --- the table --------------------------------------------------------------------------

# policy, method, origin, requested method, requested headers:
# status, text, allowed origin, credentials, methods, headers, seconds, Vary
ORIGIN = {"origin"}
READS = "GET, HEAD"
ASKED = {"origin", "access-control-request-method", "access-control-request-headers"}
NONE = set()

TABLE = [
    # no CORS request
    ("plain", "GET", None, None, None, 200, None, None, None, None, None, None, ORIGIN),
    ("open", "GET", None, None, None, 200, None, None, None, None, None, None, NONE),
    # plain requests
    ("plain", "GET", OURS, None, None, 200, None, OURS, None, None, None, None, ORIGIN),
    ("plain", "GET", SECURE, None, None, 200, None, SECURE, None, None, None, None, ORIGIN),
    ("plain", "HEAD", OURS, None, None, 200, None, OURS, None, None, None, None, ORIGIN),
    ("plain", "POST", OURS, None, None, 405, None, OURS, None, None, None, None, ORIGIN),
    ("plain", "OPTIONS", OURS, None, None, 405, None, OURS, None, None, None, None, ORIGIN),
    ("plain", "GET", FOREIGN, None, None, 200, None, None, None, None, None, None, ORIGIN),
    ("plain", "GET", "null", None, None, 200, None, None, None, None, None, None, ORIGIN),
    ("plain", "GET", "", None, None, 200, None, None, None, None, None, None, ORIGIN),
    ("picky", "GET", OURS, None, None, 200, None, OURS, "true", None, None, None, ORIGIN),
    ("picky", "GET", FOREIGN, None, None, 200, None, None, None, None, None, None, ORIGIN),
    ("open", "GET", FOREIGN, None, None, 200, None, "*", None, None, None, None, NONE),
    ("open", "GET", "null", None, None, 200, None, "*", None, None, None, None, NONE),
    # preflights that pass
    ("plain", "OPTIONS", OURS, "GET", None, 200, "OK", OURS, None, READS, USUAL, "600", ASKED),
    ("plain", "OPTIONS", OURS, "GET", "content-type", 200, "OK", OURS, None, READS, USUAL, "600",
     ASKED),
    ("picky", "OPTIONS", OURS, "POST", "X-TOKEN,x-other, Accept", 200, "OK", OURS, "true",
     "GET, POST", SAFE | {"x-token", "x-other"}, "7", ASKED),
    ("generous", "OPTIONS", OURS, "DELETE", "X-Any, X-Thing", 200, "OK", OURS, None, ALL_METHODS,
     {"x-any", "x-thing"}, "600", ASKED),
    ("generous", "OPTIONS", OURS, "PUT", None, 200, "OK", OURS, None, ALL_METHODS, None, "600",
     ASKED),
    ("open", "OPTIONS", FOREIGN, "GET", None, 200, "OK", "*", None, READS, SAFE, "600", NONE),
    ("wide open", "OPTIONS", "null", "PATCH", "x-any", 200, "OK", "*", None, ALL_METHODS, {"x-any"},
     "600", NONE),
    # preflights that do not
    ("plain", "OPTIONS", FOREIGN, "GET", None, 400, "Disallowed CORS origin", None, None, None,
     None, None, ASKED),
    ("plain", "OPTIONS", "null", "GET", None, 400, "Disallowed CORS origin", None, None, None, None,
     None, ASKED),
    ("plain", "OPTIONS", OURS, "POST", None, 400, "Disallowed CORS method", OURS, None, READS,
     USUAL,
     "600", ASKED),
    ("plain", "OPTIONS", OURS, "get", None, 400, "Disallowed CORS method", OURS, None, READS, USUAL,
     "600", ASKED),
    ("plain", "OPTIONS", OURS, "GET", "x-token", 400, "Disallowed CORS headers", OURS, None, READS,
     USUAL, "600", ASKED),
    ("picky", "OPTIONS", OURS, "GET", "x-token, x-more", 400, "Disallowed CORS headers", OURS,
     "true", "GET, POST", SAFE | {"x-token", "x-other"}, "7", ASKED),
    ("plain", "OPTIONS", OURS, "PUT", "x-token", 400, "Disallowed CORS method, headers", OURS, None,
     READS, USUAL, "600", ASKED),
    ("picky", "OPTIONS", FOREIGN, "PUT", "x-more", 400, "Disallowed CORS origin, method, headers",
     None, None, None, None, None, ASKED),
    ("picky", "OPTIONS", FOREIGN, "GET", "x-more", 400, "Disallowed CORS origin, headers", None,
     None, None, None, None, ASKED),
    ("generous", "OPTIONS", FOREIGN, "FROB", "x-more", 400, "Disallowed CORS origin, method", None,
     None, None, None, None, ASKED),
    ("open", "OPTIONS", FOREIGN, "PUT", "x-more", 400, "Disallowed CORS method, headers", "*", None,
     READS, SAFE, "600", NONE),
]


def check_explanation(answer, text):
    """A refused preflight states its reason like a refused handshake."""
    first = text.removeprefix("Disallowed CORS ").split(", ")[0].removesuffix("s")
    code = None if text == "OK" else f"cors_{first}_not_allowed"
    assert answer.headers["X-Reject-Reason"] == code
    assert ("CORS_" in answer.body.decode()) == (text != "OK")


@pytest.mark.parametrize("cell", TABLE, ids=lambda c: " ".join(str(v) for v in c[:5]))
def test_a_cell_of_the_table(gateways, cell):
    policy, method, origin, wanted, names, *expected = cell
    status, text, allowed, credentials, methods, headers, seconds, vary = expected
    answer = ask(gateways[policy], method, origin, wanted, names)
    assert answer.status == status
    if text is not None:
        assert answer.body.decode().splitlines()[0] == text
        check_explanation(answer, text)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    expose = POLICIES[policy].get("cors_expose_headers") if allowed and text is None else None
    want = {"allow-origin": allowed, "allow-credentials": credentials, "allow-methods": methods,
            "allow-headers": headers, "max-age": seconds,
            "expose-headers": expose and ", ".join(expose.split(","))}
    assert told(answer.headers) == {k: v for k, v in want.items() if v is not None}
    assert vary_of(answer) == vary


# --- Starlette itself -------------------------------------------------------------------


def starlettes(policy, method, headers):
    """The answer of Starlette's CORSMiddleware: status, text, headers."""
    cors = pytest.importorskip("starlette.middleware.cors")
    split = {name: [e.strip(' "[]') for e in str(value).split(",")]
             for name, value in POLICIES[policy].items()}

    async def page(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = cors.CORSMiddleware(
        page,
        allow_origins=split["cors_origins"],
        allow_methods=split.get("cors_allow_methods", ["GET", "HEAD"]),
        allow_headers=split.get("cors_allow_headers",
                                [] if split["cors_origins"] == ["*"] else USED),
        expose_headers=split.get("cors_expose_headers", []),
        allow_credentials=POLICIES[policy].get("cors_allow_credentials", False),
        max_age=POLICIES[policy].get("cors_max_age", 600),
    )
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/", "query_string": b"",
             "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()]}
    asyncio.run(app(scope, None, send))
    seen = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], sent[1]["body"].decode(), seen


ORIGINS = (None, OURS, SECURE, FOREIGN, "null")
WANTED = (None, "GET", "POST", "DELETE", "FROB", "get")
NAMES = (None, "accept", "X-Token", "x-other,  Accept-Language", "x-token,x-more", "Content-Type")


@pytest.mark.parametrize("policy", POLICIES)
def test_every_combination_is_answered_as_starlette_would_but_for_its_mistakes(gateways, policy):
    allows_all = POLICIES[policy]["cors_origins"] == "*"
    for method, origin, wanted, names in itertools.product(("GET", "OPTIONS"), ORIGINS, WANTED,
                                                           NAMES):
        headers = {"Origin": origin, "Access-Control-Request-Method": wanted,
                   "Access-Control-Request-Headers": names}
        headers = {k: v for k, v in headers.items() if v is not None}
        status, text, seen = starlettes(policy, method, headers)
        answer = ask(gateways[policy], method, origin, wanted, names)
        case = f"{policy}: {method} {headers}"
        expected = told(seen)
        is_preflight = method == "OPTIONS" and origin is not None and wanted is not None
        if origin is not None and "allow-origin" not in expected:
            # Starlette's mistake: it also tells a refused origin what would be allowed
            expected = {}
        assert told(answer.headers) == expected, case
        vary = vary_of(answer)
        assert vary == (NONE if allows_all else ASKED if is_preflight else ORIGIN), case
        assert listed(seen.get("vary")) <= vary, case
        if is_preflight:
            assert (answer.status, answer.body.decode().splitlines()[0]) == (status, text), case


# --- beyond the table -------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/nothing", "/cotizaciones/quotes/EUR/USD", pregon.STREAM,
                                  "/cotizaciones/health"])
def test_a_preflight_is_answered_before_anything_else_is_looked_at(gateways, path):
    answer = ask(gateways["picky"], "OPTIONS", OURS, "GET", path=path)
    assert (answer.status, answer.body) == (200, b"OK")
    assert answer.headers["Access-Control-Allow-Origin"] == OURS


@pytest.mark.parametrize("path, status", [
    ("/nothing", 404), ("/cotizaciones/quotes/bad", 400), (pregon.STREAM, 426),
    ("/cotizaciones/health", 503), ("/cotizaciones/quotes?limit=x", 400), ("/", 200)])
def test_an_error_can_be_read_by_the_page_that_may_read(gateways, path, status):
    answer = ask(gateways["picky"], "GET", OURS, path=path)
    assert answer.status == status
    assert answer.headers["Access-Control-Allow-Origin"] == OURS
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Origin" not in ask(gateways["picky"], "GET", FOREIGN,
                                                    path=path).headers


def test_why_a_websocket_is_refused_can_be_read_by_every_page(gateways):
    for policy in ("plain", "picky", "open"):
        answer = ask(gateways[policy], "GET", FOREIGN, path="/cotizaciones/websocket_check")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_cookie_changes_nothing(gateways):
    answer = ask(gateways["open"], "GET", FOREIGN, Cookie="a=b")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("names", ["x\ty", "x y", "x:y", "<script>", "é", "x,,y", ",", " "])
def test_an_invalid_header_name_is_never_echoed(gateways, names):
    answer = ask(gateways["generous"], "OPTIONS", OURS, "GET", names.encode().decode("latin-1"))
    assert answer.status in (200, 400)
    for name in listed(answer.headers.get("Access-Control-Allow-Headers")) - {""}:
        assert name.isascii() and name.isalpha()


def test_the_pages_own_origin_may_read(gateways):
    gateway = gateways["plain"]
    own = f"http://127.0.0.1:{gateway.port}"
    assert ask(gateway, "GET", own).headers["Access-Control-Allow-Origin"] == own
    assert ask(gateway, "OPTIONS", own, "GET").status == 200
    told_by_proxy = ask(gateway, "GET", "https://app.example", **{
        "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example"})
    assert told_by_proxy.headers["Access-Control-Allow-Origin"] == "https://app.example"


def test_an_empty_list_allows_no_more_than_browsers_send_anyway(system):
    broker, gateway = system.start(cors_origins=OURS, cors_allow_headers="[]",
                                   cors_allow_methods="[]")
    answer = ask(gateway, "OPTIONS", OURS, "GET", "content-type")
    assert (answer.status, answer.headers["X-Reject-Reason"]) == (400, "cors_method_not_allowed")
    assert "Authorization" not in answer.headers["Access-Control-Allow-Headers"]


def test_a_refused_preflight_is_logged_counted_and_can_be_checked(system):
    broker, gateway = system.start(cors_origins=OURS)
    lock = "/cotizaciones/locks/a"
    for origin, method, names, code, setting, named in (
        (FOREIGN, "GET", None, "cors_origin_not_allowed", "CORS_ORIGINS", FOREIGN),
        (OURS, "PATCH", None, "cors_method_not_allowed", "CORS_ALLOW_METHODS", "PATCH"),
        (OURS, "PUT", "authorization,x-token", "cors_header_not_allowed", "CORS_ALLOW_HEADERS",
         "x-token"),
    ):
        here = gateway.log_position()
        answer = ask(gateway, "OPTIONS", origin, method, names, lock)
        assert (answer.status, answer.headers["X-Reject-Reason"]) == (400, code)
        assert named in answer.body.decode() and setting in answer.body.decode()
        gateway.wait_for_log(rf'^WARNING: .*"OPTIONS {lock}" 400 {code}: .*{origin}.*{setting}',
                             after=here)
        checked = gateway.page(f"websocket_check?origin={origin}&path={lock}&method={method}"
                               f"&headers={names or ''}")["preflight"]
        assert (checked["allowed"], checked["code"], checked["setting"]) == (False, code, setting)
        assert checked["message"] in answer.body.decode()
        (last, *_) = gateway.status()["gateway"]["refusals"]["last"]
        assert (last["code"], last["status"], last["origin"]) == (code, 400, origin)
    usual = "authorization,content-type,x-requested-with,idempotency-key,last-event-id"
    for path, methods in ((lock, "GET, HEAD, PUT, DELETE"),
                          ("/cotizaciones/quotes", "GET, HEAD, POST"),
                          ("/cotizaciones/events", "GET, HEAD")):
        for method in methods.split(", "):
            answer = ask(gateway, "OPTIONS", OURS, method, usual, path)
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Methods"] == methods
            assert gateway.page(f"websocket_check?origin={OURS}&path={path}&method={method}"
                                f"&headers={usual}")["preflight"]["allowed"]
    assert gateway.page(f"websocket_check?origin={OURS}&headers={usual}")["preflight"]["allowed"]
