"""Handshakes that are refused."""


def check_refusal(gateway, answer, status, code):
    """All that a refusal must say."""
    assert answer.status == status
    assert answer.headers["X-Reject-Reason"] == code
    assert answer.headers["Cache-Control"] == "no-store"
    assert (status == 503) == ("Retry-After" in answer.headers)
    if code == "bad_version":
        assert answer.headers["Sec-WebSocket-Version"] == "13"
    if status == 426:
        assert "websocket" in answer.headers["Upgrade"].lower()
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    if not answer.body:
        return
    assert answer.headers["Content-Type"].startswith("application/json")
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "hint", "request_id"}
    assert error["code"] == code
    assert error["message"] and error["hint"]
    assert error["request_id"] == answer.headers["X-Request-Id"]


def agree(system, gateway, status, code, headers=None):
    """Handshake, websocket_check, log and counters say the same."""
    here = gateway.log_position()
    answer = system.handshake(gateway, headers=headers)
    check_refusal(gateway, answer, status, code)
    shown = {k: v for k, v in (headers or {}).items() if k in ("Authorization", "Origin")}
    verdict = gateway.get("/cotizaciones/websocket_check", headers=shown).json()
    assert (verdict["status"], verdict["code"], verdict["allowed"]) == (status, code, False)
    assert verdict["message"] == answer.json()["error"]["message"]
    gateway.wait_for_log(rf"^WARNING: .*\b{status} {code}\b", after=here)
    refusals = gateway.status()["gateway"]["refusals"]
    assert refusals["by_code"][code] >= 1
    assert verdict["setting"] == refusals["last"][0]["setting"]
    return answer
