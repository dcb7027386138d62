"""A TCP relay with faults that can be switched on and off.

The relay runs on the reactor of the pregon package; `Proxy` may be used from any thread.
"""

import asyncio

import pregon

CHUNK = 16384
WAYS = ("up", "down")  # to the gateway, to the client


class Link:
    """One connection through the proxy."""

    def __init__(self, client, server):
        self.writers = {"up": server, "down": client}
        self.gates = {way: asyncio.Event() for way in WAYS}
        self.pumps = {}
        for gate in self.gates.values():
            gate.set()

    def cut(self):
        for writer in self.writers.values():
            writer.transport.abort()

    def half_close(self, way):
        self.pumps[way].cancel()
        try:
            self.writers[way].write_eof()
        except OSError:
            pass  # the connection has ended meanwhile


class Proxy:
    def __init__(self, name, port):
        self.name = name
        self.target = ("127.0.0.1", port)
        self.delay = 0.0  # seconds a chunk is held
        self.is_refusing = False
        self.links = set()
        self.server = pregon.REACTOR.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]

    # called by actions

    def cut(self, dice):
        self._call(lambda: [link.cut() for link in self._some(dice)])

    def cut_all(self):
        self._call(lambda: [link.cut() for link in list(self.links)])

    def refuse(self, is_refusing):
        """New connections are reset at once, or relayed again."""
        self.is_refusing = is_refusing

    def half_close(self, dice, way):
        self._call(lambda: [link.half_close(way) for link in self._some(dice)])

    def set_delay(self, seconds):
        self.delay = seconds

    def shut(self, ways):
        """Stop forwarding in these directions."""
        self._call(lambda: [link.gates[way].clear() for link in self.links for way in ways])

    def heal(self):
        self.delay = 0.0
        self.is_refusing = False
        self._call(lambda: [link.gates[way].set() for link in self.links for way in WAYS])

    def close(self):
        async def close():
            self.server.close()
            for link in self.links:
                link.cut()

        pregon.REACTOR.run(close())

    def _call(self, function):
        pregon.REACTOR.loop.call_soon_threadsafe(function)

    def _some(self, dice):
        """About half of the connections, at least one."""
        links = [link for link in self.links if link.pumps]
        return [k for k in links if dice.random() < 0.5] or links[:1]

    # the relay

    async def _serve(self, reader, writer):
        if self.is_refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target, limit=CHUNK)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, far_writer)
        link.pumps = {
            "up": asyncio.ensure_future(self._pump(link, "up", reader)),
            "down": asyncio.ensure_future(self._pump(link, "down", far_reader)),
        }
        self.links.add(link)
        try:
            await asyncio.wait(link.pumps.values())
        finally:
            self.links.discard(link)
            for end in link.writers.values():
                end.close()

    async def _pump(self, link, way, reader):
        writer = link.writers[way]
        try:
            while data := await reader.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await link.gates[way].wait()
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            link.cut()
