"""A proxy between browsers and a gateway, with the faults of misconfigured proxies.

    meddler = Meddler(system, gateway, drop=("Upgrade", "Connection"))
    …  PUBLIC_URL=meddler.url

It passes one request per connection, head first, then bytes both ways; a gateway closes the
connection after each answer, so no more of HTTP is needed. """

import re
import socket
import threading


class Meddler:

    def __init__(
        self,
        system,
        target,
        *,
        drop=(),
        replace=None,
        forwards=True,
        scheme="http",
        path=None,
        add_to_answers="",
        answers=None,
        swallows=False,
        shift=0,
        host=None,
    ):
        """drop, replace: headers of requests; forwards: X-Forwarded-For and -Proto are sent; path:
        a function of the request's path; answers: the proxy's own answer for the paths that a
        pattern matches, ("/ws/", "403 Forbidden"); swallows: nothing passes after a 101; shift:
        seconds added to timestamps in answers. """
        self.target = target
        self.drop, self.replace, self.forwards, self.scheme = drop, replace or {}, forwards, scheme
        self.path, self.add_to_answers, self.answers = path, add_to_answers, answers
        self.swallows, self.shift, self.host = swallows, shift, host
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.sockets = [self.listener]
        system.peers.append(self)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def _accept(self):
        try:
            while True:
                near, _ = self.listener.accept()
                self.sockets.append(near)
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()
        except OSError:
            pass

    @staticmethod
    def _head(sock):
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                raise OSError("closed")
            data += more
        head, rest = data.split(b"\r\n\r\n", 1)
        return head.decode("latin-1").split("\r\n"), rest

    def _request(self, lines):
        method, path, version = lines[0].split(" ")
        dropped = {name.lower() for name in (*self.drop, *self.replace)}
        kept = [line for line in lines[1:] if line.split(":")[0].lower() not in dropped]
        if "Connection" in self.drop:
            kept.append("Connection: close")
        kept += [f"{name}: {value}" for name, value in self.replace.items()]
        if self.forwards:
            kept += ["X-Forwarded-For: 192.0.2.7", f"X-Forwarded-Proto: {self.scheme}"]
        if self.host:
            kept = [line for line in kept if not line.lower().startswith("host:")]
            kept.append("Host: " + self.host)
        path = self.path(path) if self.path else path
        return "\r\n".join([f"{method} {path} {version}", *kept, "", ""]).encode("latin-1")

    def _serve(self, near):
        try:
            lines, rest = self._head(near)
            if self.answers and re.search(self.answers[0], lines[0]):
                near.sendall(f"HTTP/1.1 {self.answers[1]}\r\nContent-Length: 0\r\n"
                             "Connection: close\r\n\r\n".encode())
                near.shutdown(socket.SHUT_WR)
                return
            far = socket.create_connection(self.target.address)
            self.sockets.append(far)
            far.sendall(self._request(lines) + rest)
            answer, rest = self._head(far)
            if self.add_to_answers:
                answer.insert(1, self.add_to_answers)
            if self.shift and " 101 " not in answer[0]:
                rest += b"".join(iter(lambda: far.recv(65536), b""))
                rest = re.sub(rb'"timestamp":(\d{10})',
                              lambda m: b'"timestamp":%d' % (int(m[1]) + self.shift), rest)
            near.sendall("\r\n".join([*answer, "", ""]).encode("latin-1"))
            if self.swallows and " 101 " in answer[0]:
                while far.recv(65536):
                    pass
                return
            near.sendall(rest)
            threading.Thread(target=self._pass, args=(near, far), daemon=True).start()
            self._pass(far, near)
        except OSError:
            pass

    @staticmethod
    def _pass(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Elsewhere:
    """Another web server, which gives the same answer to every request."""

    def __init__(self, system, answer="200 OK"):
        self.meddler = Meddler(system, None, answers=("", answer))
        self.url, self.port = self.meddler.url, self.meddler.port
