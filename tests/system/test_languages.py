"""Sentences for people are in English and in Spanish, and the client chooses between them."""

import glob
import os
import re
import subprocess

import pytest

import pregon

OURS, FOREIGN = "http://localhost:3000", "https://evil.example"
SPANISH = {"Accept-Language": "es-AR,es;q=0.9,en;q=0.5"}
STRING = r'"((?:[^"\\\n]|\\.)*)"'
HOLE = r"%[-+#0-9.*]*(?:[lzhj]*[sduifgxXc])"
NOT_FOR_PEOPLE = r"\b(?:log_\w+|assert|_\w+)\("


def preprocessed(path):
    """The C code of a file with its macros replaced, without that of the headers."""
    done = subprocess.run(["gcc", "-E", "-I.", "-D_GNU_SOURCE", path], cwd=pregon.ROOT,
                          capture_output=True, text=True, check=True)
    lines, is_ours = [], False
    for line in done.stdout.split("\n"):
        if mark := re.match(r'# \d+ "([^"]+)"', line):
            is_ours = mark[1] == path
        elif is_ours:
            lines.append(line)
    return "\n".join(lines)


def strings(code):
    """(text, code before it) of each string literal; adjacent ones are one."""
    for m in re.finditer(rf"(?:{STRING}\s*)+", code):
        yield "".join(re.findall(STRING, m[0])), code[:m.start()]


def sentences(*patterns):
    """The texts that people read: they begin with a capital, a quote or a hole, and end."""
    found = {}
    paths = [p for pattern in patterns for p in glob.glob(pattern, root_dir=pregon.ROOT)]
    for path in sorted(paths):
        for text, before in strings(preprocessed(path)):
            statement = re.split(r"[;{}]\s", before[-600:])[-1]
            if re.search(NOT_FOR_PEOPLE, statement) or " " not in text.strip():
                continue
            if re.match(r"['A-Z0-9%]", text.strip()) and re.search(r"[.?;]$", text.strip()):
                found.setdefault(text.strip(), path)
    return found


def table(path):
    """{english: spanish} of a table of texts; each English text has one entry."""
    body = re.search(r"language_text texts\[\] = \{(.*?)\n\};", preprocessed(path), re.S)[1]
    entries = re.findall(rf"\{{((?:\s*{STRING})+),((?:\s*{STRING})+)\s*\}}", body)
    pairs = [("".join(re.findall(STRING, e[0])), "".join(re.findall(STRING, e[2])))
             for e in entries]
    assert len(pairs) == len(re.findall(r"\{", body)) > 50
    assert len({english for english, _ in pairs}) == len(pairs)
    return dict(pairs)


def test_every_reason_of_a_refused_quote_has_a_spanish_text():
    with open(os.path.join(pregon.ROOT, "shared", "wire", "quote.h"), encoding="utf-8") as f:
        reasons = re.search(r"define QUOTE_REFUSALS\(X\)(.*?)\n\n", f.read(), re.S)[1]
    texts = table("gateway/http/reply_text.c")
    assert [r for r in re.findall(STRING, reasons) if r != "accepted" and r not in texts] == []


GATEWAY = [f"gateway/{folder}/*.c" for folder in ("access", "http", "limits", "policy", "routes")]


def test_every_sentence_of_the_gateway_has_a_spanish_text():
    texts = table("gateway/http/reply_text.c")
    known = "\n".join(texts)
    said = sentences(*GATEWAY, "gateway/upstream/quotes_body.c")
    # What front and head refuse has no headers yet; metrics have HELP texts, health is a page.
    said.pop("The parameter '%s' %s.")  # the table has it with each of its ends
    without = ("gateway/http/head.c", "gateway/http/front_loop.c", "gateway/http/reply_text.c",
               "gateway/routes/handlers_")
    missing = [f"{path}: {text}" for text, path in said.items()
               if not path.startswith(without) and text not in known]
    assert len(said) > 100
    assert missing == []


def test_every_text_of_the_doctor_has_a_spanish_one():
    """Texts for people are three words or more."""
    known = "\n".join({**table("doctor/doctor_text.c"), **table("doctor/finding_texts.c")})
    paths = [p for p in glob.glob("doctor/*.c", root_dir=pregon.ROOT)
             if not re.search(r"_texts?\.c$|doctor_config|holder", p)]
    said = {text.strip(): path for path in paths for text, before in strings(preprocessed(path))
            if re.search(r"[a-z]+ [a-z]+ \S", text) and "HTTP/1.1" not in text
            and not re.search(NOT_FOR_PEOPLE, re.split(r"[;{}]\s", before[-600:])[-1])}
    for text in list(said):
        if "must be http://HOST" in text:  # of a wrong flag: as all programs say it
            del said[text]
        elif text.startswith("handshakes are refused: "):
            said[text.split(": ")[1]] = said.pop(text)
    missing = [f"{path}: {text}" for text, path in said.items()
               if text.replace("https://foreign.invalid", "%s") not in known]
    assert len(said) > 150
    assert missing == []


@pytest.mark.parametrize("path", ["gateway/http/reply_text.c", "doctor/doctor_text.c",
                                  "doctor/finding_texts.c"])
def test_both_texts_of_an_entry_have_the_same_values_and_the_spanish_one_is_ours(path):
    for english, spanish in table(path).items():
        assert len(re.findall(HOLE, english.replace("%%", ""))) == \
            len(re.findall(HOLE, spanish.replace("%%", ""))), english
        assert set(re.findall(HOLE, spanish.replace("%%", ""))) <= {"%s"}, spanish
        for name in re.findall(r"\b[A-Z]+_[A-Z_]+\b", english):
            assert name in spanish, spanish
        # The reader is addressed as tú; these are words of usted, or English in disguise.
        assert not re.search(r"(?i)\b(usted|su navegador|haga|ejecute|agregue|defina|revise|"
                             r"historia|edad|edades|librería|soporta\w*|remover?)\b", spanish)


DOCTOR = os.path.join(pregon.BIN, "pregon-doctor")


def doctor(*flags, **environment):
    done = subprocess.run([DOCTOR, *flags], capture_output=True, text=True, check=False,
                          env={**pregon.plain_environment(), **environment})
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.mark.parametrize("environment, flags, is_spanish", [
    ({}, [], False),
    ({"LANG": "es_MX.UTF-8"}, [], True),
    ({"LANG": "es_MX.UTF-8", "LC_ALL": "C.UTF-8"}, [], False),
    ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "es_AR"}, [], True),
    ({"LC_ALL": "", "LC_MESSAGES": "", "LANG": "es"}, [], True),
    ({"LC_ALL": "en_US.UTF-8"}, ["--lang", "es"], True),
    ({"LC_ALL": "es"}, ["--lang=en"], False),
    ({"LANG": "de_DE"}, [], False),
], ids=str)
def test_the_doctor_speaks_the_language_of_the_flag_or_the_locale(environment, flags, is_spanish):
    said = doctor("--list", *flags, **environment)
    assert ("el registro termina con el broker" in said) == is_spanish
    assert ("the log ends with the broker" in said) != is_spanish


def test_the_doctor_explains_a_set_up_in_spanish_and_names_stay(system):
    broker, gateway = system.start(websocket_max_connections=0, cors_origins=OURS)
    flags = [f"--gateway-url={gateway.url}", "--env-file=/dev/null"]
    settings = {name.upper(): broker.settings[name] for name in broker.settings}
    said = doctor(*flags, "--lang=es", **settings)
    assert "no hay cotizaciones" in said and "hacer:  arranca un feeder" in said
    assert "feed_none" in said and "max_connections" in said
    assert re.search(r"Los handshakes se rechazan con HTTP 503 max_connections: "
                     r"El límite de conexiones es 0", said)
    assert re.search(r"^\d+ errore?s?, \d+ advertencias?, \d+ notas?$", said, re.M)
    assert not re.search(r"\b(the|is|and|with)\b", said), said
    english = doctor(*flags, **settings)
    assert re.findall(r"^\w+ +(\w+)", english, re.M)[:3] == \
        re.findall(r"^\w+ +(\w+)", said, re.M)[:3]


def error_of(answer):
    return answer.json()["error"]


def test_a_client_gets_the_sentences_of_a_refusal_in_its_language_and_the_codes_stay(system):
    _, gateway = system.start(cors_origins=OURS)
    where = {"Origin": FOREIGN}
    english = system.handshake(gateway, headers=where)
    spanish = system.handshake(gateway, headers={**where, **SPANISH})
    assert (english.status, english.code) == (spanish.status, spanish.code) == \
        (403, "origin_not_allowed")
    assert [error_of(a)["message"] for a in (english, spanish)] == [
        f"Pages of the origin {FOREIGN} may not connect.",
        f"Las páginas del origen {FOREIGN} no pueden conectarse."]
    assert error_of(spanish)["hint"].startswith(f"Agrega {FOREIGN} a CORS_ORIGINS.")
    for answer, language in ((english, "en"), (spanish, "es")):
        assert answer.headers["Content-Language"] == language
        assert "Accept-Language" in answer.headers.get_all("Vary")
        assert answer.headers["X-Reject-Reason"] == "origin_not_allowed"
    gateway.wait_for_log(f"WARNING.*Pages of the origin {FOREIGN} may not connect")
    assert not gateway.logged("no pueden conectarse")


REFUSALS = [
    ("/nowhere", {}, 404, "En esta ruta no hay nada."),
    ("/cotizaciones/quotes/eur", {}, 400, "'eur' no puede ser un símbolo."),
    ("/cotizaciones/quotes?symbol=X", {}, 400, "El parámetro 'symbol' no existe aquí."),
    ("/cotizaciones/quotes/X/history?limit=x", {}, 400, "El parámetro 'limit' no es válido."),
    ("/cotizaciones/locks/a", {"method": "PUT", "body": "{}"}, 403,
     "Aquí no se pueden cambiar locks por HTTP, ni ver sus valores."),
    ("/cotizaciones/quotes", {"method": "POST", "body": "{}"}, 403,
     "Aquí no se pueden publicar cotizaciones."),
    ("/metrics", {"method": "POST"}, 405, "Esta ruta es solo para leer."),
]


@pytest.fixture(scope="module")
def gateway(shared_system):
    return shared_system.start(cors_origins=OURS)[1]


@pytest.mark.parametrize("path, how, status, message", REFUSALS, ids=lambda v: str(v)[:30])
def test_routes_refuse_in_spanish(gateway, path, how, status, message):
    answer = gateway.get(path, headers=SPANISH, **how)
    assert (answer.status, error_of(answer)["message"]) == (status, message)
    assert answer.headers["Content-Language"] == "es"
    english = gateway.get(path, **how)
    assert english.headers["Content-Language"] == "en"
    assert {**error_of(english), "message": 0, "hint": 0, "request_id": 0} == \
        {**error_of(answer), "message": 0, "hint": 0, "request_id": 0}


def test_the_reason_of_each_refused_quote_is_in_spanish(system):
    _, gateway = system.start(publish_token="s3cret")
    answer = gateway.get("/cotizaciones/quotes", method="POST", headers={
        **SPANISH, "Authorization": "Bearer s3cret", "Content-Type": "application/json"},
        body='[{"symbol":"X","last":"1"},{"symbol":"X","bid":"2","ask":"1"},{"symbol":"X"}]')
    reasons = [quote.get("message") for quote in answer.json()["quotes"]]
    assert reasons == [None, "bid está por encima de ask", "falta al menos uno de bid, ask y last"]
    assert answer.headers["Content-Language"] == "es"


def test_the_check_and_a_refused_preflight_explain_in_spanish(gateway):
    path = "/cotizaciones/websocket_check?method=PUT&headers=x-y&origin="
    answer = gateway.get(path + FOREIGN, headers=SPANISH)
    told = answer.json()
    assert told["code"] == "origin_not_allowed"
    assert told["message"] == f"Las páginas del origen {FOREIGN} no pueden conectarse."
    assert told["preflight"]["message"] == f"Las páginas de {FOREIGN} no pueden leer este gateway."
    assert told["publish"]["message"] == "Aquí no se pueden publicar cotizaciones."
    assert answer.headers["Content-Language"] == "es"
    preflight = gateway.get("/cotizaciones/quotes", method="OPTIONS", headers={
        **SPANISH, "Origin": OURS, "Access-Control-Request-Method": "DELETE"})
    assert preflight.status == 400
    assert "no pueden usar aquí el método DELETE" in preflight.body.decode()
    assert preflight.headers["Content-Language"] == "es"
