"""Let one of several processes work.  Start the gateway with LOCKS_TOKEN=open-sesame.

usage: python lock.py    (pip install ./consumer/python)
"""

import pregon

try:
    with pregon.lock("telegram-bot", "http://127.0.0.1:8000", token="open-sesame",
                     ttl=30, lock_delay=60, timeout=0) as lock:
        lock.check()  # before each step of the work; raises LockLost when another may begin
        print("working with the token", lock.token)
except pregon.LockHeld as e:  # without timeout=0 it waits for its turn
    raise SystemExit(e)
