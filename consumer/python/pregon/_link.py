"""A connection that is made again after every interruption."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Dict, Generator, Optional, Sequence

from ._address import Address, backoff
from ._channel import Close, Disconnected, Open, Receive, Sleep, Step
from ._errors import Refused, Unreachable
from ._http import loads
from ._types import Status

SILENCE = 20.0  # seconds without a message before the welcome; later three heartbeats

log = logging.getLogger("pregon")


class Link:
    """Connects to one of several gateways; goes on to the next one after each attempt."""

    def __init__(
        self,
        gateways: Sequence[Address],
        token: Optional[str],
        on_status: Optional[Callable[[Status], object]] = None,
    ) -> None:
        self.gateways = gateways
        self.token = token
        self.on_status = on_status
        self.welcome: Optional[Dict[str, Any]] = None  # None: there is no connection
        self.deadline: Optional[float] = None  # when to give up, by time.monotonic()
        self._turn = 0
        self._attempts = 0
        self._appointment: Optional[float] = None  # from going_away
        self._patience = SILENCE

    def report(self, status: Status) -> None:
        log.log(logging.WARNING if status.phase == "waiting" else logging.DEBUG, status.text)
        if self.on_status:
            self.on_status(status)

    def connect(self) -> Generator[Step, Any, None]:
        """Connects and waits for the welcome, until the deadline.

        Raises Refused if it is of no use to try again, and Unreachable.
        """
        while self.welcome is None:
            gateway = self.gateways[self._turn % len(self.gateways)]
            self.report(Status("connecting", f"connecting to {gateway.given}"))
            self._patience = SILENCE
            try:
                yield Open(gateway, self.token)
                while self.welcome is None:
                    m = yield from self.receive()
                    if m.get("type") == "welcome":
                        self._patience = 3 * seconds_of(m, "heartbeat")
                        self.welcome = m
            except (Disconnected, Refused) as e:
                yield from self.wait(e)

    def receive(self) -> Generator[Step, Any, Dict[str, Any]]:
        """The next message; raises Disconnected."""
        m = loads((yield Receive(self._patience)))
        if not isinstance(m, dict):
            raise Disconnected("a message is no JSON object: is this a gateway?")
        if m.get("type") == "going_away":
            self._appointment = seconds_of(m, "reconnect_after")
        return m

    def succeeded(self) -> None:
        """The connection is of use: the next interruption begins with a short pause."""
        self._attempts = 0

    def wait(self, e: Exception) -> Generator[Step, Any, None]:
        """Closes what is left of the connection and waits for the next attempt's time.

        Raises as connect.
        """
        self.welcome = None
        yield Close()
        refused = e if isinstance(e, Refused) else refused_by_close(e)
        if refused and not refused.is_transient:
            raise refused
        self._turn += 1
        if self._appointment is not None:
            pause, self._appointment = self._appointment, None
            text = "the gateway restarts"
        else:
            pause, self._attempts = backoff(self._attempts), self._attempts + 1
            if refused and refused.retry_after:
                pause += refused.retry_after
            text = str(refused or e)
        if self.deadline is not None and time.monotonic() + pause > self.deadline:
            raise refused or Unreachable("unreachable", text)
        text += f"; next attempt in {pause:.1f} s"
        self.report(Status("waiting", text, retry_in=pause, refusal=refused))
        yield Sleep(pause)


def seconds_of(m: Dict[str, Any], name: str) -> float:
    """A member that is a time, of a day at most."""
    try:
        seconds = float(m[name])
    except (KeyError, TypeError, ValueError, OverflowError):
        seconds = -1.0
    if not 0 <= seconds <= 86400:
        raise Disconnected(f"a message of the gateway is not understood: {m!r:.200}")
    return seconds


def refused_by_close(e: Exception) -> Optional[Refused]:
    """A close code with the reason of a refusal (WEBSOCKET_EXPLAIN), or None."""
    if not isinstance(e, Disconnected) or e.code not in (4401, 4013, 4503):
        return None
    why = loads(e.reason)
    why = why if isinstance(why, dict) else {}
    setting = why.get("setting")
    hint = f"See the gateway's setting {setting}." if setting else ""
    code, message = str(why.get("code", e.code)), str(why.get("message", "Closed by the gateway."))
    return Refused(code, message, hint, e.code, why)
