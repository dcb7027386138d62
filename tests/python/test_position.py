"""The rules of a follower's position, without a connection."""

from programs import Program

HEAD = """
import pregon
from pregon._position import Missing, Tracker
def ack(seq, epoch="e", **more):
    return {"epoch": epoch, "seq": seq, **more}
def quote(seq, prev, symbol="A", kind="quote"):
    return {"type": kind, "symbol": symbol, "seq": seq, "prev": prev}
def lost(seq, first=0, last=0, feed=""):
    return {"seq": seq, "feed": feed, "first": first, "last": last}
def missing(t, m):
    try:
        t.take(m)
    except Missing:
        return True
    return False
"""


def check(system, python, code):
    Program(system, python, HEAD + code).finish()


def test_in_mode_merge_acks_and_heartbeats_move_the_position(system, python):
    check(system, python, """
t = Tracker(False, None)
t.complete(5)
assert t.value is None  # before the ack
assert t.acknowledged(ack(7)) == "" and str(t.value) == "e:7"
assert t.take(quote(9, 3)) == range(0) and str(t.value) == "e:7"
t.complete(9)
assert str(t.value) == "e:9"
t.forget("f")
assert t.value is None
""")


def test_in_mode_all_every_record_moves_it_but_an_ack_does_not(system, python):
    check(system, python, """
t = Tracker(True, None)
t.acknowledged(ack(7))
assert t.value is None
t.take_snapshot(quote(6, None))
assert t.value is None
assert t.take(quote(8, 6)) == range(0) and str(t.value) == "e:8"
assert t.take(quote(8, 6)) is None  # repeated
assert t.take_loss(lost(9, feed="f")) and str(t.value) == "e:9"
assert not t.take_loss(lost(9, feed="f"))
t.complete(12)
t.complete(11)
assert str(t.value) == "e:12"
t.disconnected()
t.complete(20)
assert str(t.value) == "e:12"
assert t.acknowledged(ack(12, recovered=True)) == "" and str(t.value) == "e:12"
assert t.take(quote(8, 6)) is None
""")


def test_a_gap_makes_it_go_back_once_and_is_then_a_loss(system, python):
    check(system, python, """
t = Tracker(True, None)
t.acknowledged(ack(0))
t.take(quote(1, 0))
t.take(quote(2, 0, "B"))
assert missing(t, quote(6, 4)) and str(t.value) == "e:1"
t.acknowledged(ack(1, recovered=True))
assert t.take(quote(2, 0, "B")) is None
assert t.take(quote(6, 4)) == range(2, 5) and str(t.value) == "e:6"
t.take_loss(lost(7, 7, 9))
assert t.take(quote(11, 9)) == range(0)  # its absence was reported
""")


def test_everything_begins_anew_with_a_reason(system, python):
    check(system, python, """
t = Tracker(True, pregon.Position.parse("e:5"))
assert t.acknowledged(ack(9, recovered=False)) == "not_kept" and t.value is None
t.take_snapshot(quote(9, None))
assert t.acknowledged(ack(9)) == "interrupted"  # again, before all last values had come
t.complete(10)
assert t.acknowledged(ack(1, "f", recovered=False)) == "log_replaced"
assert t.take(quote(2, 0)) == range(0) and str(t.value) == "f:2"
""")


def test_a_state_without_a_record_is_taken_each_time(system, python):
    check(system, python, """
t = Tracker(True, None)
t.acknowledged(ack(3))
assert t.take(quote(2, 1, "Z", "state")) == range(0)
t.take(quote(4, 0))
assert t.take(quote(4, 0, kind="state")) == range(0)
assert t.take(quote(3, 0, kind="state")) is None
assert str(t.value) == "e:4"
""")
