"""The Bot API server of the tests has the manners of the real one."""

import http.client
import json
import threading

import pytest

from fake_telegram import FakeTelegram, TERMINATED, TOKEN, WEBHOOK


@pytest.fixture
def telegram():
    fake = FakeTelegram()
    yield fake
    fake.close()


def call(telegram, method, token=TOKEN, **params):
    """(status, answer)"""
    connection = http.client.HTTPConnection(telegram.url.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", f"/bot{token}/{method}", json.dumps(params),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class Later(threading.Thread):
    """A call that waits."""

    def __init__(self, *args, **params):
        super().__init__(daemon=True)
        self.args, self.params = args, params
        self.start()

    def run(self):
        self.result = call(*self.args, **self.params)

    def answer(self):
        self.join(60)
        return self.result


def waits(telegram, **params):
    before = telegram.count("getUpdates")
    later = Later(telegram, "getUpdates", **params)
    telegram.wait_until(lambda f: f.count("getUpdates") > before and f.waiting, "a poll that waits")
    return later


def ids(answer):
    return [u["update_id"] for u in answer[1]["result"]]


def test_another_token_is_unauthorized(telegram):
    assert call(telegram, "getMe", token="4242:other") == (
        401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
    assert call(telegram, "getMe")[1]["result"]["username"] == telegram.username


def test_an_offset_confirms_what_lies_below_it_and_nothing_else_does(telegram):
    first, second = telegram.user_sends(7, "a"), telegram.user_sends(7, "b")
    assert ids(call(telegram, "getUpdates")) == [first, second]
    assert ids(call(telegram, "getUpdates", limit=1)) == [first]
    assert ids(call(telegram, "getUpdates", offset=second)) == [second]
    assert ids(call(telegram, "getUpdates")) == [second]
    message = call(telegram, "getUpdates")[1]["result"][0]["message"]
    assert (message["text"], message["chat"]["id"], message["from"]["language_code"]) == (
        "b",
        7,
        "es",
    )


def test_a_poll_waits_for_an_update(telegram):
    poll = waits(telegram, timeout=50)
    assert [telegram.user_sends(7, "a")] == ids(poll.answer())


def test_the_older_of_two_polls_that_wait_gets_the_409(telegram):
    older = waits(telegram, timeout=50)
    newer = Later(telegram, "getUpdates", timeout=50)
    status, answer = older.answer()
    assert (status, answer["error_code"], answer["description"]) == (409, 409, TERMINATED)
    telegram.user_sends(7, "a")
    assert newer.answer()[0] == 200


def test_a_poll_that_finds_updates_is_checked_for_nothing(telegram):
    older = waits(telegram, offset=telegram.last_update + 2, timeout=50)
    # as if the update came from a server that the older poll does not see yet
    with telegram.changed:
        telegram.last_update += 1
        telegram.pending.append({"update_id": telegram.last_update})
    assert call(telegram, "getUpdates", timeout=50)[0] == 200
    telegram.user_sends(7, "b")
    assert older.answer()[0] == 200
    assert telegram.conflicts == 0


def test_a_webhook_refuses_polls_until_it_is_deleted(telegram):
    poll = waits(telegram, timeout=50)
    call(telegram, "setWebhook", url="https://example.org/hook")
    assert poll.answer()[1]["description"] == "Conflict: terminated by setWebhook request"
    assert call(telegram, "getUpdates")[1]["description"] == WEBHOOK
    call(telegram, "deleteWebhook")
    assert call(telegram, "getUpdates")[0] == 200


def test_the_fake_records_messages_and_answers_limits_with_retry_after():
    telegram = FakeTelegram(limits={"chat": (2, 60), "group": (1, 60)})
    try:
        assert call(telegram, "sendMessage", chat_id=7, text="a")[0] == 200
        assert call(telegram, "sendMessage", chat_id=7, text="b")[0] == 200
        status, answer = call(telegram, "sendMessage", chat_id=7, text="c")
        assert status == 429 and 1 <= answer["parameters"]["retry_after"] <= 61
        assert call(telegram, "sendMessage", chat_id=-7, text="a")[0] == 200
        assert call(telegram, "sendMessage", chat_id=-7, text="b")[0] == 429
        assert telegram.texts(7) == ["a", "b"] and telegram.texts(-7) == ["a"]
        assert call(telegram, "sendMessage", chat_id=8, text=" ")[0] == 400
    finally:
        telegram.close()


def test_the_fake_telegram_misbehaves_on_request_and_only_then(telegram):
    telegram.next_call("sendMessage", refuse=(429, "Too Many Requests: retry after 5"),
                       retry_after=5)
    telegram.next_call("sendMessage", raw=b"")
    telegram.next_call("sendMessage", raw=b"", after=True)
    telegram.next_call("sendMessage", body=b"<html>", status=502)
    assert call(telegram, "sendMessage", chat_id=7, text="a")[1]["parameters"] == {"retry_after": 5}
    for text in "bc":
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            call(telegram, "sendMessage", chat_id=7, text=text)
    with pytest.raises(ValueError):
        call(telegram, "sendMessage", chat_id=7, text="d")
    assert call(telegram, "sendMessage", chat_id=7, text="e")[0] == 200
    assert telegram.texts() == ["c", "e"]


def test_an_update_can_come_twice(telegram):
    number = telegram.user_sends(7, "a")
    call(telegram, "getUpdates", offset=number + 1)
    telegram.wait_confirmed(number)
    telegram.deliver_again(number)
    assert ids(call(telegram, "getUpdates")) == [number]


def test_an_answer_can_be_held(telegram):
    go = threading.Event()
    fault = telegram.next_call("sendMessage", hold=go, after=True)
    later = Later(telegram, "sendMessage", chat_id=7, text="a")
    assert fault.was_met.wait(60)
    assert telegram.texts() == ["a"] and later.is_alive()
    go.set()
    assert later.answer()[0] == 200
