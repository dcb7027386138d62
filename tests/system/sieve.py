"""A bad network in front of a gateway: drops whole WebSocket messages of the gateway."""

import socket
import threading


class Sieve:
    def __init__(self, gateway):
        self.target = gateway.address
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "ws://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.ends = []
        self.lock = threading.Lock()
        self.needle, self.times = b"", 0
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self, needle, times):
        """Drop the next `times` messages that contain these bytes."""
        with self.lock:
            self.needle, self.times = needle, times

    def _accept(self):
        try:
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
                self.ends += [near, far]
                for what, a, b in ((self._pass, near, far), (self._sift, far, near)):
                    threading.Thread(target=self._guard, args=(what, a, b), daemon=True).start()
        except OSError:
            pass

    @staticmethod
    def _guard(what, a, b):
        try:
            what(a, b)
        except OSError:
            pass
        for end in (a, b):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def _pass(a, b):
        while data := a.recv(65536):
            b.sendall(data)

    def _sift(self, a, b):
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            buffer += self._more(a)
        head, buffer = buffer.split(b"\r\n\r\n", 1)
        b.sendall(head + b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            b.sendall(buffer)
            self._pass(a, b)
            return
        while True:
            size = self._size(buffer)
            while size is None or len(buffer) < size:
                buffer += self._more(a)
                size = self._size(buffer)
            frame, buffer = buffer[:size], buffer[size:]
            if not self._is_swallowed(frame):
                b.sendall(frame)

    @staticmethod
    def _more(a):
        data = a.recv(65536)
        if not data:
            raise OSError
        return data

    @staticmethod
    def _size(buffer):
        """The size of the first frame; None: its head is not complete."""
        if len(buffer) < 2:
            return None
        short = buffer[1]
        wide = {126: 2, 127: 8}.get(short, 0)
        if len(buffer) < 2 + wide:
            return None
        return 2 + wide + (int.from_bytes(buffer[2 : 2 + wide], "big") if wide else short)

    def _is_swallowed(self, frame):
        with self.lock:
            if not self.times or self.needle not in frame:
                return False
            self.times -= 1
            return True

    def close(self):
        self.listener.close()
        for end in self.ends:
            end.close()
