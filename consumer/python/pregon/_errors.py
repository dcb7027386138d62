"""Exceptions of this package."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ._published import Published

TRANSIENT = frozenset((408, 425, 429, 502, 503, 504, 4013, 4503))


class PregonError(Exception):
    """A request failed.

    `code` is for programs, `message` says what happened, `hint` what to change ("" if nothing can
    be changed).  `status` is the HTTP status or the close code of a WebSocket, or 0.  `published`
    is what `publish` had already published of a long list, or None.
    """

    def __init__(self, code: str, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(code, message, hint, status)
        self.code = code
        self.message = message
        self.hint = hint
        self.status = status
        self.published: Optional[Published] = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message} {self.hint}".rstrip()


class Unreachable(PregonError):
    """No gateway answered in time.  A request to change something may have taken effect."""


class Refused(PregonError):
    """A gateway answered with an error.

    `body` is the whole answer.  `retry_after` is the number of seconds after which the gateway
    wants the request again, or None.
    """

    def __init__(
        self,
        code: str,
        message: str,
        hint: str = "",
        status: int = 0,
        body: Optional[Mapping[str, Any]] = None,
        retry_after: Optional[float] = None,
    ) -> None:
        super().__init__(code, message, hint, status)
        self.body: Mapping[str, Any] = body or {}
        self.retry_after = retry_after

    @property
    def is_transient(self) -> bool:
        """Whether the same request may be accepted later."""
        return self.status in TRANSIENT


class QuotesRefused(Refused):
    """The broker accepted none of the quotes; `published.refused` says why, for each one."""


class LockHeld(Refused):
    """Another owner has the lock; `body["holder"]` names it."""


class LockLost(PregonError):
    """The lock is lost: stop the work that it protected."""
