"""A script that uses locks over HTTP."""

import json

import pytest

from test_pages import check, is_text

SECRET, STATUS = "sesame-open", "show-me"
BEARER = {"Authorization": "Bearer " + SECRET}
LOCKS = "/cotizaciones/locks"


class Locks:
    """The lock service through one gateway, with the token that permits changes."""

    def __init__(self, gateway, bearer=BEARER):
        self.gateway = gateway
        self.bearer = bearer

    def request(self, method, path, body=None):
        return self.gateway.get(LOCKS + path, method, self.bearer, body)

    def put(self, name, **body):
        return self.request("PUT", f"/{name}", json.dumps(body))

    def take(self, name, owner, ttl=30, **body):
        """Take the lock, which must be free or ours; returns the token."""
        answer = self.put(name, owner=owner, ttl=ttl, **body)
        assert answer.status == 200, answer.body
        return answer.json()["token"]

    def release(self, name, owner, token):
        return self.request("DELETE", f"/{name}?owner={owner}&token={token}")

    def shatter(self, name, token, reason=""):
        return self.request("DELETE", f"/{name}?break=1&token={token}&reason={reason}")

    def value(self, name, owner, token, value):
        return self.request("PUT", f"/{name}/value?owner={owner}&token={token}", value)

    def look(self, name):
        return self.request("GET", f"/{name}").json()


def start(system, **settings):
    broker, gateway = system.start(locks_token=SECRET, **settings)
    return broker, gateway, Locks(gateway)


@pytest.fixture(scope="module")
def locks(shared_system):
    """For tests that use different locks."""
    return start(shared_system)[2]


def refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer.body
    check(answer.json()["error"], {"code": code, "message": is_text, "request_id": is_text,
                                   "hint": lambda t: isinstance(t, str)})
    assert answer.headers["X-Reject-Reason"] == code
    if status == 503:
        assert int(answer.headers["Retry-After"]) > 0
    return answer.json()
