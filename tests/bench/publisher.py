#!/usr/bin/python3
"""A producer that posts batches of quotes to a gateway: publisher.py PORT TOKEN BATCHES QUOTES

For each line of standard input, a number of seconds, it posts BATCHES requests a second with QUOTES
quotes each, one connection each as HTTP libraries do, and then prints one line of JSON: how many
requests were answered 200, how many were not, and the latency of the answered ones.
"""

import json
import socket
import sys
import threading
import time

THREADS = 4  # each sends its next request when it is due and the one before is answered


class Producer(threading.Thread):
    def __init__(self, port, request, interval, until):
        super().__init__()
        self.port, self.request, self.interval, self.until = port, request, interval, until
        self.took, self.failed = [], 0

    def post(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.sendall(self.request)
            answer = s.recv(65536)
            while s.recv(65536):
                pass
        return answer.startswith(b"HTTP/1.1 200 ")

    def run(self):
        due = time.monotonic()
        while due < self.until:
            time.sleep(max(due - time.monotonic(), 0))
            began = time.monotonic()
            try:
                is_published = self.post()
            except OSError:
                is_published = False
            if is_published:
                self.took.append(time.monotonic() - began)
            else:
                self.failed += 1
            due += self.interval


def main():
    port, token, batches, quotes = int(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:])
    body = json.dumps([{"symbol": f"P{i:05}", "bid": "1034.50", "ask": "1034.75"}
                       for i in range(int(quotes))])
    request = (f"POST /cotizaciones/quotes HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
               f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
               f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
    for line in sys.stdin:
        began = time.monotonic()
        until = began + float(line)
        producers = [Producer(port, request, THREADS / batches, until) for _ in range(THREADS)]
        for p in producers:
            p.start()
        for p in producers:
            p.join()
        took = sorted(t for p in producers for t in p.took)
        print(json.dumps({
            "published": len(took), "failed": sum(p.failed for p in producers),
            "seconds": time.monotonic() - began,
            "p50_ms": took[len(took) // 2] * 1e3 if took else 0,
            "p99_ms": took[len(took) * 99 // 100] * 1e3 if took else 0,
        }), flush=True)


if __name__ == "__main__":
    main()
