"""A proxy that a test can cut."""

import socket
import threading


class Proxy:
    """Relays connections between a program and one of the broker's addresses, until a test cuts
    them."""

    def __init__(self, address):
        host, port = address.removeprefix("tcp://").split(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.pairs = []
        self.accepter = threading.Thread(target=self._accept, daemon=True)
        self.accepter.start()

    def _accept(self):
        try:
            while True:
                near, _ = self.listener.accept()
                try:
                    far = socket.create_connection(self.target)
                except OSError:  # no server listens at the moment: the client will connect again
                    near.close()
                    continue
                self.pairs.append((near, far))
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(a, b), daemon=True).start()
        except OSError:
            pass

    @staticmethod
    def _pass(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass

    def cut(self):
        """End all current connections; new ones are relayed."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()

    def close(self):
        """End all connections; new ones are refused."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # a close alone does not end accept()
        except OSError:
            pass  # closed before
        self.accepter.join()
        self.listener.close()
        self.cut()
