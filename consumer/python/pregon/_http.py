"""Requests to the routes of a gateway, repeated until one answers or the time is over."""

from __future__ import annotations

import http.client
import json
import logging
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence
from urllib.parse import urlencode

from ._address import Address, backoff
from ._errors import Refused, Unreachable

log = logging.getLogger("pregon")
ATTEMPT = 10.0  # seconds for one attempt
MAX_BODY = 64 << 20
RETRY_MAX = 3600.0  # seconds
_HTTP_FAILURES = (OSError, http.client.HTTPException, ValueError)  # ValueError: odd redirects


@dataclass(frozen=True)
class Answer:
    body: bytes
    headers: Any

    def json(self) -> Dict[str, Any]:
        found = loads(self.body)
        if not isinstance(found, dict):
            raise Unreachable("bad_answer", "the answer is no JSON object: is this a gateway?")
        return found


def loads(text: Any) -> Any:
    """Parses JSON; fractions become Decimal, because one may be a price.  None: it is no JSON."""
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None


def refusal(status: int, body: bytes, headers: Any) -> Refused:
    """The exception for an answer that is an error."""
    found = loads(body)
    found = found if isinstance(found, dict) else {}
    error = found.get("error")
    error = error if isinstance(error, dict) else {}
    code = error.get("code") or headers.get("X-Reject-Reason") or f"http_{status}"
    message = error.get("message") or f"The server answered with the HTTP status {status}."
    hint = error.get("hint") or ("" if error else "Is this the address of a gateway?")
    text = headers.get("Retry-After", "")
    retry_after = min(float(text), RETRY_MAX) if text.isascii() and text.isdigit() else None
    return Refused(str(code), str(message), str(hint), status, found, retry_after)


def attempt(request: urllib.request.Request, seconds: float) -> Answer:
    """One attempt; raises Refused or Unreachable."""
    deadline = time.monotonic() + seconds
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return Answer(_read(answer, deadline), answer.headers)
    except urllib.error.HTTPError as e:
        with e:
            try:
                body = _read(e, deadline)
            except (Unreachable, *_HTTP_FAILURES):
                body = b""
            raise refusal(e.code, body, e.headers) from None
    except _HTTP_FAILURES as e:
        why = e.reason if isinstance(e, urllib.error.URLError) else e
        if isinstance(why, ssl.SSLCertVerificationError):
            raise why from None
        where = request.full_url.partition("?")[0]
        text = str(why) or type(why).__name__
        raise Unreachable("unreachable", f"{where} cannot be reached: {text}") from e


def _read(answer: Any, deadline: float) -> bytes:
    parts: List[bytes] = []
    size = 0
    while part := answer.read1(65536):
        parts.append(part)
        size += len(part)
        if size > MAX_BODY or time.monotonic() > deadline:
            raise Unreachable("bad_answer", "the answer is too long, or arrives too slowly")
    whole = b"".join(parts)
    length = answer.headers.get("Content-Length", "")
    if length.isascii() and length.isdigit() and len(whole) < float(length):
        raise Unreachable("unreachable", "the connection ended before the answer was complete")
    return whole


class Requester:
    """Sends requests to one of several gateways, and goes on to the next one if it fails."""

    def __init__(self, gateways: Sequence[Address], token: Optional[str]) -> None:
        self.gateways = gateways
        self.token = token
        self.turn = 0

    def build(
        self,
        method: str,
        route: str,
        parameters: Mapping[str, Any],
        headers: Mapping[str, str],
        body: Optional[bytes],
    ) -> urllib.request.Request:
        url = self.gateways[self.turn % len(self.gateways)].pages + route
        if parameters:
            url += "?" + urlencode(parameters)
        request = urllib.request.Request(url, body, dict(headers), method=method)
        if self.token:
            request.add_unredirected_header("Authorization", "Bearer " + self.token)
        return request

    def once(self, method: str, route: str, body: bytes, seconds: float) -> Dict[str, Any]:
        """One attempt; goes on to the next gateway if it fails."""
        request = self.build(method, route, {}, {"Content-Type": "application/json"}, body)
        try:
            return attempt(request, min(ATTEMPT, seconds)).json()
        except (Refused, Unreachable):
            self.turn += 1
            raise

    def send(
        self,
        method: str,
        route: str,
        parameters: Mapping[str, Any] = {},
        headers: Mapping[str, str] = {},
        body: Optional[bytes] = None,
        *,
        timeout: float,
        sleep: Callable[[float], object] = time.sleep,
    ) -> Answer:
        """Repeats the request for `timeout` seconds, at least once.

        Raises the last refusal, or Unreachable.  A request that changes something must be one
        that can be repeated.
        """
        deadline = time.monotonic() + timeout
        count = 0
        while True:
            request = self.build(method, route, parameters, headers, body)
            left = max(1.0, deadline - time.monotonic())
            error: Refused | Unreachable
            try:
                return attempt(request, min(ATTEMPT, left))
            except Refused as e:
                if not e.is_transient:
                    raise
                error, pause = e, (e.retry_after or 0.0) + backoff(count, 5) / 4
            except Unreachable as e:
                error, pause = e, backoff(count, 5)
            count += 1
            self.turn += 1
            if time.monotonic() + pause >= deadline:
                raise error
            if count == 1:
                log.warning("%s; trying again for %.0f s", error, deadline - time.monotonic())
            sleep(pause)
