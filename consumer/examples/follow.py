"""Print every quote of a symbol or prefix (BTC*), once and in order, through restarts and losses.

usage: /usr/bin/python3 follow.py 'USD*'    (python3-zmq, python3-msgpack)
BROKER_PUBLISH and BROKER_CONTROL name a broker elsewhere.  docs/protocol/wire.md explains the
algorithm under "Receiving without a gap".  A killed broker loses nothing with STORE=sqlite:FILE.
"""
import itertools, os, sys, time, uuid
import msgpack, zmq

QUOTE, STATE, HEARTBEAT = 1, 2, 4


def follow(pattern):  # yields (symbol, position, fields): newest values, then every quote
    prefix = pattern[:-1] if pattern[-1] == "*" else pattern + " "
    context, ids, records, control = zmq.Context(), itertools.count(1), None, None

    def receive():
        topic, *frames = records.recv_multipart()
        return topic.decode(), *(msgpack.unpackb(frames[0])[:7] if frames else [0] * 7)

    def ask(op, **members):
        request = {"op": op, "id": next(ids), "pattern": pattern, **members}
        control.send(msgpack.packb(request))
        while (answer := msgpack.unpackb(control.recv())).get("id") != request["id"]:
            pass
        return answer

    epoch, position, last = 0, 0, {}
    while True:  # one resync: records after `position` may be missing
        if not records:
            records, control = context.socket(zmq.SUB), context.socket(zmq.DEALER)
            for socket, name, port in (records, "PUBLISH", 5556), (control, "CONTROL", 5557):
                socket.linger, socket.rcvtimeo = 0, 3000
                socket.connect(os.environ.get("BROKER_" + name, f"tcp://127.0.0.1:{port}"))
            for topic in "!welcome ", "!heartbeat ", prefix:
                records.subscribe(topic)
        mark, held, missed = f"~mark/{uuid.uuid4().hex} ", [], []
        patience = time.monotonic() + 3  # a broken connection may lose the mark
        records.subscribe(mark)
        try:
            while not held or held[-1][0] != mark:  # every record after the mark will arrive
                held.append(receive())
                if time.monotonic() > patience:
                    raise zmq.Again
            page, head = {"next": 0, "upto": position}, held[-1][3]
            if held[-1][2] != epoch:  # another log: begin with the newest values
                last = {}
                while "next" in page:
                    page = ask("snapshot", **{"from": page["next"]})
                    for symbol, n, _, record in page["quotes"]:
                        kind, its_epoch, *_, body = msgpack.unpackb(record)[:7]
                        missed.append((symbol + " ", kind, its_epoch, n, 0, 0, 0, body))
            while page.get("upto", head) < head:  # the same log: fetch the missed records
                page = ask("replay", after=page["upto"], until=head)
                missed += [(t, *msgpack.unpackb(record)[:7]) for t, record in page["records"]]
            held = held[-1:] + [m for m in held if m[1]]  # the mark, then the held records
            live, is_verified = iter(receive, None), False
            for topic, kind, its_epoch, n, prev, _, _, body in itertools.chain(missed, held, live):
                known = max(last.get(topic[:-1], 0), position if is_verified else 0)
                if topic == mark:
                    epoch, position, beat, is_verified = its_epoch, n, prev, True
                elif is_verified and (kind == 0 or its_epoch != epoch):
                    break  # a new connection, or another log
                elif is_verified and kind in (QUOTE, STATE) and min(n, prev) > known:
                    break  # a gap
                elif kind == HEARTBEAT and prev > beat:
                    if prev > beat + 1 or any(seq > max(last.get(s, 0), position) for s, seq
                                              in body["changed"] if (s + " ").startswith(prefix)):
                        break
                    beat, position = prev, n
                elif kind in (QUOTE, STATE) and n > known:
                    last[topic[:-1]] = n
                    if kind == QUOTE:
                        yield topic[:-1], n, body
        except (zmq.Again, KeyError):  # silence, or a refused request: open new sockets
            records.close()
            control.close()
            records = None
            time.sleep(0.2)
        else:
            records.unsubscribe(mark)


wanted = sys.argv[1] if len(sys.argv) == 2 else sys.exit("usage: follow.py SYMBOL | 'PREFIX*'")
for symbol, position, fields in follow(wanted):
    prices = [fields[name] for name in ("bid", "ask") if name in fields] or [fields["last"]]
    print(symbol, position, *prices, flush=True)
