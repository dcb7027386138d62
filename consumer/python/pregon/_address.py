"""Addresses of gateways."""

from __future__ import annotations

import random
import re
from typing import List, Sequence, Union
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

STREAM = "/ws/cotizaciones"
PAGES = "/cotizaciones/"
_PATTERN = re.compile(r"[A-Z0-9._:/=^-]{1,32}|[A-Z0-9._:/=^-]{0,31}\*")

Urls = Union[str, Sequence[str]]


class Address:
    """One gateway.  `stream` is the URL of its WebSocket, `pages` that of its routes."""

    def __init__(self, given: str) -> None:
        parts = urlsplit(given)
        scheme = {"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}.get(parts.scheme)
        if not scheme or not parts.hostname:
            raise ValueError(
                f'pregon: "{given}" is no address of a gateway; one looks like '
                "http://127.0.0.1:8000"
            )
        path = parts.path
        if not path.rstrip("/").endswith(STREAM):
            path = path.rstrip("/") + STREAM if path.endswith("/") or not path else path
        at = path.rfind("/ws/")
        prefix = path[:at] if at > 0 else ""
        query = [item for item in parse_qsl(parts.query, True) if item[0] != "symbols"]
        self.given = given
        self.path = path
        self.query = urlencode([*query, ("symbols", "")])
        self.stream = urlunsplit((scheme, parts.netloc, path, self.query, ""))
        pages = "https" if scheme == "wss" else "http"
        self.pages = urlunsplit((pages, parts.netloc, prefix + PAGES, "", ""))


def addresses(urls: Urls) -> List[Address]:
    """One or several gateways of the same broker."""
    found = [Address(url) for url in ([urls] if isinstance(urls, str) else urls)]
    if not found:
        raise ValueError("pregon: give the address of at least one gateway")
    return found


def patterns(symbols: Union[str, Sequence[str]]) -> List[str]:
    """Checks patterns, because a wrong one would look like a quiet market."""
    wanted = [symbols] if isinstance(symbols, str) else list(symbols)
    for pattern in wanted:
        if not _PATTERN.fullmatch(pattern):
            better = pattern.strip().upper()
            meant = f'; did you mean "{better}"?' if _PATTERN.fullmatch(better) else ""
            raise ValueError(
                f'pregon: "{pattern}" is no symbol: 1 to 32 of A-Z 0-9 . _ : / = ^ -, with * at '
                f"the end for all that begin so{meant}"
            )
    if not wanted:
        raise ValueError('pregon: name at least one symbol, or "*" for all')
    return list(dict.fromkeys(wanted))


def backoff(attempt: int, longest: float = 30.0) -> float:
    """Seconds before the next attempt: random, so that many clients do not return at once."""
    return random.uniform(0, min(longest, 2.0 ** min(attempt, 16)))
