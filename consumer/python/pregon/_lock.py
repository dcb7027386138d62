"""Locks over HTTP: docs/protocol/locks.md."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import sys
import threading
import time
from typing import Any, Callable, Dict, Optional
from urllib.parse import quote as escape

from ._address import Urls, addresses
from ._errors import LockHeld, LockLost, PregonError, Refused, Unreachable
from ._http import Requester
from ._link import log

ATTEMPT_MAX = 5.0  # seconds between two requests of an owner that waits: it keeps its place for 10


def clock() -> float:
    """Seconds; also counts while the machine is suspended, where the system can."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Lock:
    """A lock: `with pregon.lock("telegram-bot", url, token="...") as lock:`.

    A thread renews it.  `lost` is true from the moment at which another owner may soon get it;
    `check()` then raises LockLost.  At the end of `with` the lock is released, and LockLost is
    raised if it was lost before.  `token` rises with every grant: a server that receives the work
    should refuse a token that is lower than one it has seen.
    """

    def __init__(
        self,
        name: str,
        url: Urls,
        *,
        token: str,
        ttl: float,
        lock_delay: float,
        timeout: Optional[float],
        owner: Optional[str],
        on_lost: Optional[Callable[[LockLost], object]],
    ) -> None:
        if not 1 <= ttl:
            raise ValueError("pregon: the ttl of a lock is at least 1 s")
        self.name = name
        self.owner = owner or f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
        self.token = 0
        self._requester = Requester(addresses(url), token)
        self._route = "locks/" + escape(name, safe="")
        self._ttl, self._delay, self._timeout = ttl, lock_delay, timeout
        self._on_lost = on_lost
        self._mutex = threading.Lock()
        self._deadline = 0.0
        self._loss: Optional[LockLost] = None
        self._is_over = threading.Event()
        self._thread: Optional[threading.Thread] = None

    # acquiring and releasing

    def acquire(self) -> None:
        """Waits for the lock; raises LockHeld after `timeout`, or Refused."""
        self._is_over.clear()
        began = clock()
        body = {"owner": self.owner, "ttl": self._ttl, "lock_delay": self._delay,
                "host": socket.gethostname()[:255], "pid": os.getpid()}
        while not self._is_over.is_set():
            sent = clock()
            try:
                grant = self._put(body, max(1.0, self._ttl / 2))
            except (Refused, Unreachable) as e:
                error = self._acquire_failed(e)
                pause = min(ATTEMPT_MAX, getattr(e, "retry_after", None) or 1.0)
                if self._timeout is not None and clock() + pause - began > self._timeout:
                    raise error from None
                self._is_over.wait(pause)
                continue
            self.token = int(grant["token"])
            self._loss = None
            self._deadline = sent + float(grant["expires_in"]) * 2 / 3
            if clock() >= self._deadline:  # the answer came too late; the same owner gets it again
                continue
            self._thread = threading.Thread(target=self._renew, daemon=True, name="pregon lock")
            self._thread.start()
            return

    def _acquire_failed(self, e: PregonError) -> PregonError:
        """The error to raise when the time is over; raises it if waiting is of no use."""
        if isinstance(e, Refused) and e.code == "held":
            return LockHeld(e.code, e.message, e.hint, e.status, e.body, e.retry_after)
        if isinstance(e, Refused) and not e.is_transient:
            raise e
        log.warning("waiting for the lock %s: %s", self.name, e)
        return e

    def release(self) -> None:
        """Ends the grant.  A lock that cannot be released runs out by itself."""
        self._is_over.set()
        thread, self._thread = self._thread, None
        if thread and thread is not threading.current_thread():
            thread.join()
        if not self.token:
            return
        query = {"owner": self.owner, "token": self.token}
        self.token = 0
        try:
            self._requester.send("DELETE", self._route, query, timeout=ATTEMPT_MAX)
        except PregonError as e:
            if not (isinstance(e, Refused) and e.code in ("stale", "unknown_lock")):
                log.warning("the lock %s could not be released and will run out: %s", self.name, e)

    # holding

    @property
    def lost(self) -> bool:
        with self._mutex:
            self._look(clock())
            return self._loss is not None

    def check(self) -> None:
        """Raises LockLost if the lock is lost."""
        if self.lost:
            assert self._loss
            raise self._loss

    def _look(self, now: float) -> None:
        if self._loss is None and now >= self._deadline:
            self._loss = LockLost("lock_lost", f"The lock {self.name} was not renewed in time.")

    def _renew(self) -> None:
        """The thread: renews after a third of the time, then repeats until the lock is lost."""
        while not self._is_over.wait(max(0.0, (self._deadline - clock()) / 2)):
            if self._renew_until_deadline():
                continue
            assert self._loss
            log.warning("%s", self._loss)
            if self._on_lost:
                self._on_lost(self._loss)
            return

    def _renew_until_deadline(self) -> bool:
        """False: the lock is lost."""
        while not self.lost and not self._is_over.is_set():
            sent = clock()
            left = max(0.1, (self._deadline - sent) / 2)  # then there is time for another attempt
            try:
                body = {"owner": self.owner, "token": self.token, "ttl": self._ttl}
                grant = self._put(body, left)
                with self._mutex:
                    self._look(clock())
                    if self._loss is None:
                        self._deadline = sent + float(grant["expires_in"]) * 2 / 3
                return self._loss is None
            except Exception as e:
                if isinstance(e, Refused) and not e.is_transient:
                    with self._mutex:
                        message = f"The lock {self.name} is lost: {e.message}"
                        self._loss = self._loss or LockLost(e.code, message, e.hint, e.status)
                    return False
                self._is_over.wait(min(1.0, max(0.0, self._deadline - clock()) / 4))
        return not self.lost

    def _put(self, body: Dict[str, Any], seconds: float) -> Dict[str, Any]:
        """One request that takes at most so long."""
        return self._requester.once("PUT", self._route, json.dumps(body).encode(), seconds)

    # the lock's value

    def read_value(self) -> Optional[bytes]:
        """The bytes that belong to the lock, or None if nobody has written any."""
        try:
            return self._requester.send("GET", self._route + "/value", timeout=ATTEMPT_MAX).body
        except Refused as e:
            if e.code in ("no_value", "unknown_lock"):
                return None
            raise

    def write_value(self, value: bytes) -> None:
        """Writes at most 65,536 bytes; only the holder can.  Raises Refused `stale` if lost."""
        query = {"owner": self.owner, "token": self.token}
        self._requester.send("PUT", self._route + "/value", query, {}, value, timeout=ATTEMPT_MAX)

    # with

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        is_lost = self.lost
        self.release()
        if is_lost and kind is None:
            self.check()

    async def __aenter__(self) -> Lock:
        waiting = asyncio.ensure_future(asyncio.to_thread(self.acquire))
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            self._is_over.set()
            await asyncio.wait([waiting])
            await asyncio.to_thread(self.release)
            raise
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        is_lost = self.lost
        await asyncio.to_thread(self.release)
        if is_lost and kind is None:
            self.check()


def lock(
    name: str,
    url: Urls,
    *,
    token: str,
    ttl: float = 30.0,
    lock_delay: float = 0.0,
    timeout: Optional[float] = None,
    owner: Optional[str] = None,
    on_lost: Optional[Callable[[LockLost], object]] = None,
) -> Lock:
    """A lock that one program of several holds: `with lock(...) as held:`, or `async with`.

    `token` is the gateway's LOCKS_TOKEN.  `ttl` is how long the lock stays when its owner dies, and
    `lock_delay` how long it then stays closed.  `timeout` is how long to wait for it: None: without
    an end, 0: not at all.  `on_lost` is called by the thread that renews.
    """
    return Lock(name, url, token=token, ttl=ttl, lock_delay=lock_delay, timeout=timeout,
                owner=owner, on_lost=on_lost)
