"""Take a lock over HTTP, renew it, release it.  Start the gateway with LOCKS_TOKEN=open-sesame.

usage: /usr/bin/python3 lock.py    (python3-requests)
"""
import secrets

import requests

LOCK, me = "http://127.0.0.1:8000/cotizaciones/locks/telegram-bot", secrets.token_hex(8)
bot = requests.Session()
bot.headers["Authorization"] = "Bearer open-sesame"  # the gateway's LOCKS_TOKEN


def checked(answer):
    if not answer.ok:
        raise SystemExit("{code}: {message} {hint}".format(**answer.json()["error"]))
    return answer.json()


grant = checked(bot.put(LOCK, json={"owner": me, "ttl": 30, "lock_delay": 60}, timeout=5))
# 409: another owner has it; repeat the request after Retry-After
mine = {"owner": me, "token": grant["token"]}
# renew every 10 s; 409: the lock is lost, stop at once
checked(bot.put(LOCK, json=mine, timeout=5))
# done: the next owner may begin
checked(bot.delete(LOCK, params=mine, timeout=5))
