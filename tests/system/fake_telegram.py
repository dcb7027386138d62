"""A Bot API server on loopback, for tests: real HTTP, and the behaviour of the real server.

    telegram = FakeTelegram()
    telegram.user_sends(7, "/precio BTC/USD")          # a person writes to the bot
    telegram.wait_sent(7, count=1)                     # wait for what the bot sends there

The behaviour is that of the server which Telegram publishes (github.com/tdlib/telegram-bot-api,
Client.cpp): an offset confirms all updates below it; a poll that finds updates is answered at once
and does not look for other polls; a poll that has to wait ends an older waiting poll, which gets
the 409; a second 409 within 3 s is delayed by 3 s; a poll that repeats an offset within 3 s waits 3
s.  An answer to a connection that is gone confirms nothing.

`url + "/NAME"` is the same server: `via` of a call is then "NAME", which distinguishes instances.
`next_call` makes the next calls of a method misbehave.  This server sleeps only where the real
server does. """

import collections
import http.server
import json
import re
import socket
import struct
import threading
import time
import urllib.parse

TOKEN = "4242:AAsecret-of-a-tests_0123456789abcde"

TERMINATED = ("Conflict: terminated by other getUpdates request; make sure that only one bot "
              "instance is running")
BY_WEBHOOK = "Conflict: terminated by setWebhook request"
WEBHOOK = ("Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to "
           "delete the webhook first")
CONFLICT_PAUSE = 3.0
REPEAT_PAUSE = 3.0
POLL_MAX = 50
PATIENCE = 60  # of a test; only decides when it is lost

Sent = collections.namedtuple("Sent", "chat text at via")
Call = collections.namedtuple("Call", "method params at via")


class Refusal(Exception):
    def __init__(self, code, description, **parameters):
        super().__init__(description)
        self.code = code
        self.parameters = parameters


class Poll:
    """One that waits."""

    def __init__(self):
        self.refusal = None


class Fault:
    """How the next call fails.

    refuse: (code, description), with retry_after or migrate_to as its parameters
    raw:    these bytes instead of an HTTP answer; b"" cuts the connection
    body:   this body, with status 200 (or `status`), instead of JSON
    hold:   an event; the answer waits for it
    after: the call is carried out, and only the answer is faulty
    """

    def __init__(self, *, refuse=None, retry_after=None, raw=None, body=None, status=200,
                 hold=None, after=False, chat=None, migrate_to=None):
        self.refuse, self.retry_after, self.migrate_to = refuse, retry_after, migrate_to
        self.raw, self.body, self.status = raw, body, status
        self.hold, self.after, self.chat = hold, after, chat
        self.was_met = threading.Event()


class FakeTelegram:
    def __init__(self, token=TOKEN, username="pregon_test_bot", limits=None, port=0,
                 host="127.0.0.1"):
        """limits: {"all": (count, seconds), "chat": …, "group": …}, or None for none."""
        self.token = token
        self.username = username
        self.limits = limits or {}
        self.changed = threading.Condition(threading.RLock())
        self.pending = []  # updates not confirmed
        self.confirmed = []
        self.last_update = 100
        self.last_message = 0
        self.waiting = None
        self.next_conflict = 0.0
        self.previous_poll = (None, 0.0)  # offset, when
        self.webhook = ""
        self.sent = []
        self.calls = []
        self.over_limit = 0
        self.conflicts = 0
        self.faults = collections.defaultdict(collections.deque)
        self.is_closed = False

        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                fake._serve(self)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):  # those who hang up are no errors of ours
                pass

        self.server = Server((host, port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return "http://%s:%d" % self.server.server_address

    def close(self):
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    # what people do

    def user_sends(self, chat, text, language="es", kind=None, **message):
        """clients that close the connection are no errors of ours"""
        with self.changed:
            self.last_message += 1
            sender = {"id": abs(chat), "is_bot": False, "first_name": "Ana"}
            if language:
                sender["language_code"] = language
            self._add({"message": {
                "message_id": self.last_message, "from": sender, "date": int(time.time()),
                "chat": {"id": chat, "type": kind or ("group" if chat < 0 else "private")},
                **({"text": text} if text is not None else {}), **message}})
            return self.last_update

    def add_update(self, **update):
        """An update of any kind."""
        with self.changed:
            self._add(update)
            return self.last_update

    def _add(self, update):
        self.last_update += 1
        self.pending.append({"update_id": self.last_update, **update})
        self.changed.notify_all()

    def deliver_again(self, update_id):
        """Deliver a confirmed update again, as the real server does after a failure."""
        with self.changed:
            again = next(u for u in self.confirmed if u["update_id"] == update_id)
            self.pending.insert(0, again)
            self.changed.notify_all()

    # called by tests

    def texts(self, chat=None):
        with self.changed:
            return [s.text for s in self.sent if chat in (None, s.chat)]

    def wait_until(self, look, what="it", patience=PATIENCE):
        """Wait until a condition holds, looked at whenever something happens."""
        with self.changed:
            if not self.changed.wait_for(lambda: look(self), patience):
                raise AssertionError(f"{what} did not come true; sent: {self.sent[-10:]}; "
                                     f"calls: {[(c.method, c.params) for c in self.calls[-10:]]}")

    def wait_sent(self, chat, count=1, where=lambda text: True):
        """Wait until the bot has sent this many such texts to the chat; returns all of them."""
        def matching(_=None):
            return [t for t in self.texts(chat) if where(t)]

        self.wait_until(lambda _: len(matching()) >= count, f"{count} texts to {chat}")
        return matching()

    def wait_confirmed(self, update_id):
        self.wait_until(lambda f: f.last_update >= update_id and
                        all(u["update_id"] > update_id for u in f.pending),
                        f"update {update_id} confirmed")

    def count(self, method):
        with self.changed:
            return sum(c.method == method for c in self.calls)

    def calls_by(self, via, method, after=0):
        """The calls of one instance."""
        with self.changed:
            return [c for c in self.calls[after:] if (c.via, c.method) == (via, method)]

    def call_count(self):
        """How many calls there were: for `calls_by(…, after=)`."""
        with self.changed:
            return len(self.calls)

    def next_call(self, method, times=1, **how):
        """The next calls misbehave; returns the faults."""
        faults = [Fault(**how) for _ in range(times)]
        with self.changed:
            self.faults[method].extend(faults)
        return faults if times > 1 else faults[0]

    def clear_faults(self):
        """Remove the faults that have not occurred yet."""
        with self.changed:
            self.faults.clear()

    # answering

    def _serve(self, request):
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        path = urllib.parse.urlsplit(request.path)
        params = dict(urllib.parse.parse_qsl(path.query, keep_blank_values=True))
        if "json" in (request.headers.get("Content-Type") or ""):
            params.update(json.loads(body or b"{}"))
        else:
            params.update(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
        fault = None
        try:
            parts = re.fullmatch(r"/?(\w*)/bot([^/]+)/(\w+)", path.path)
            if not parts:
                raise Refusal(404, "Not Found")
            via, token, method = parts.groups()
            if token != self.token:
                raise Refusal(401, "Unauthorized")
            with self.changed:
                self.calls.append(Call(method, params, time.monotonic(), via))
                self.changed.notify_all()
                fault = self._fault(method, params)
            if fault and not fault.after:
                self._misbehave(request, fault)
                if fault.raw is not None or fault.body is not None:
                    return
            handler = getattr(self, "_do_" + method, None)
            if not handler:
                raise Refusal(404, "Not Found: method not found")
            answer, status = {"ok": True, "result": handler(params, via)}, 200
            if fault and fault.after:
                self._misbehave(request, fault)
                if fault.raw is not None or fault.body is not None:
                    return
        except Refusal as r:
            answer = {"ok": False, "error_code": r.code, "description": str(r)}
            if r.parameters:
                answer["parameters"] = r.parameters
            status = r.code
        self._answer(request, status, json.dumps(answer).encode())

    def _fault(self, method, params):
        queue = self.faults[method]
        for fault in queue:
            if fault.chat in (None, int(params.get("chat_id", 0))):
                queue.remove(fault)
                return fault
        return None

    def _misbehave(self, request, fault):
        fault.was_met.set()
        if fault.hold:
            fault.hold.wait(PATIENCE)
        if fault.refuse:
            code, description = fault.refuse
            more = {k: v for k, v in (("retry_after", fault.retry_after),
                                      ("migrate_to_chat_id", fault.migrate_to)) if v is not None}
            raise Refusal(code, description, **more)
        if fault.raw is not None:
            request.wfile.write(fault.raw)
            if not fault.raw:
                request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                              struct.pack("ii", 1, 0))
            request.close_connection = True
        elif fault.body is not None:
            self._answer(request, fault.status, fault.body)

    @staticmethod
    def _answer(request, status, body):
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    # methods

    def _do_getMe(self, params, via):
        return {"id": int(self.token.split(":")[0]), "is_bot": True, "first_name": "Pregón",
                "username": self.username, "can_join_groups": True}

    def _do_getUpdates(self, params, via):
        offset, limit = int(params.get("offset", 0)), int(params.get("limit", 100))
        timeout = max(0, min(POLL_MAX, int(params.get("timeout", 0))))
        limit = limit if 1 <= limit <= 100 else 100
        poll = Poll()
        with self.changed:
            if self.webhook:
                self._conflict(WEBHOOK)
            now = time.monotonic()
            if (self.previous_poll[0] == offset and timeout < REPEAT_PAUSE
                    and now < self.previous_poll[1] + REPEAT_PAUSE):
                timeout = REPEAT_PAUSE
            if offset < 0:
                offset = max([u["update_id"] for u in self.pending][offset:], default=0)
            self.confirmed += [u for u in self.pending if u["update_id"] < offset]
            self.pending = [u for u in self.pending if u["update_id"] >= offset]
            self.changed.notify_all()
            if timeout and not self.pending:
                if self.waiting:
                    self.waiting.refusal = TERMINATED
                    self.changed.notify_all()
                self.waiting = poll
                self.changed.wait_for(
                    lambda: poll.refusal or self.pending or self.is_closed, timeout)
                if self.waiting is poll:
                    self.waiting = None
            if poll.refusal:
                self._conflict(poll.refusal)
            self.previous_poll = (offset, now)
            return self.pending[:limit]

    def _conflict(self, description):
        self.conflicts += 1
        now = time.monotonic()
        if now < self.next_conflict:
            self.changed.wait_for(lambda: self.is_closed, CONFLICT_PAUSE)
        else:
            self.next_conflict = now + CONFLICT_PAUSE
        raise Refusal(409, description)

    def _do_sendMessage(self, params, via):
        try:
            chat, text = int(params["chat_id"]), params["text"]
        except (KeyError, ValueError):
            raise Refusal(400, "Bad Request: chat_id is empty") from None
        if not text.strip():
            raise Refusal(400, "Bad Request: message text is empty")
        if len(text) > 4096:
            raise Refusal(400, "Bad Request: message is too long")
        with self.changed:
            self._check_limits(chat)
            self.last_message += 1
            self.sent.append(Sent(chat, text, time.monotonic(), via))
            self.changed.notify_all()
            return {"message_id": self.last_message, "date": int(time.time()),
                    "chat": {"id": chat}, "text": text}

    def _check_limits(self, chat):
        now = time.monotonic()
        for name, (count, seconds) in self.limits.items():
            if name == "group" and chat >= 0:
                continue
            recent = [s.at for s in self.sent
                      if s.at > now - seconds and (name == "all" or s.chat == chat)]
            if len(recent) >= count:
                self.over_limit += 1
                after = max(1, int(recent[0] + seconds - now) + 1)
                raise Refusal(429, f"Too Many Requests: retry after {after}", retry_after=after)

    def _do_setWebhook(self, params, via):
        with self.changed:
            self.webhook = params.get("url", "")
            if self.webhook and self.waiting:
                self.waiting.refusal = BY_WEBHOOK
            self.changed.notify_all()
            return True

    def _do_deleteWebhook(self, params, via):
        with self.changed:
            self.webhook = ""
            return True

    def _do_getWebhookInfo(self, params, via):
        return {"url": self.webhook, "pending_update_count": len(self.pending)}
