"""A proxy in front of an S3-compatible store that counts requests by kind: for measuring what a flush costs.

It passes bytes on unchanged (the signature covers the host name that the client used, which the store gets as sent) and
reads only the head of each request. Kinds: PUT of an entry, of a segment, of anything else; GET; LIST; DELETE.

Invariants: one request at a time per connection, as HTTP/1.1 clients without pipelining send them; a reply is passed on
until the store has answered as many bytes as it announced.
"""

import asyncio
import threading
from collections import Counter

HEAD_BYTES_MAX = 65_536


def kind_of(method, target):
    """What a request is for, from its method and its target."""
    path, _, query = target.partition("?")
    if method == "GET" and ("list-type=" in query or "prefix=" in query):
        return "LIST"
    if method == "PUT":
        if "/log/" in path:
            return "PUT entry"
        if "/segment/" in path:
            return "PUT segment"
        return "PUT other"
    return method


def _length(head):
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
        if name.strip().lower() == b"transfer-encoding":
            return None
    return 0


async def _copy(reader, writer, size):
    while size:
        data = await reader.read(min(size, 1 << 16))
        if not data:
            raise ConnectionError
        writer.write(data)
        await writer.drain()
        size -= len(data)


async def _copy_chunks(reader, writer):
    while True:
        line = await reader.readuntil(b"\r\n")
        writer.write(line)
        size = int(line.split(b";")[0], 16)
        await _copy(reader, writer, size + 2)
        if size == 0:
            return


async def _copy_body(head, reader, writer, bodiless):
    size = _length(head)
    if size is None:
        await _copy_chunks(reader, writer)
    elif not bodiless:
        await _copy(reader, writer, size)
    await writer.drain()


class RequestCounter:
    """The proxy on a thread of its own; `take()` returns what was counted since the last call."""

    def __init__(self, store_port):
        self.store_port, self.counts, self.port = store_port, Counter(), None
        self._loop, self._lock, started = asyncio.new_event_loop(), threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)
        server = self._loop.run_until_complete(listening)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()

    def _count(self, head):
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        with self._lock:
            self.counts[kind_of(method, target)] += 1
        return method

    async def _serve(self, client, back):
        store, to_store = await asyncio.open_connection("127.0.0.1", self.store_port, limit=HEAD_BYTES_MAX)
        try:
            while True:
                head = await client.readuntil(b"\r\n\r\n")
                method = self._count(head)
                to_store.write(head)
                await _copy_body(head, client, to_store, bodiless=False)
                while True:
                    reply = await store.readuntil(b"\r\n\r\n")
                    back.write(reply)
                    status = int(reply.split(b" ", 2)[1])
                    if status >= 200:
                        break
                await _copy_body(reply, store, back, bodiless=method == "HEAD" or status in (204, 304))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            back.close()
            to_store.close()

    def take(self):
        """Counts by kind since the last call."""
        with self._lock:
            taken, self.counts = dict(self.counts), Counter()
        return taken

    def close(self):
        """Ends the proxy."""
        def end():
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            # Once more around, so that the cancelled tasks close their connections.
            self._loop.call_later(0.1, self._loop.stop)

        self._loop.call_soon_threadsafe(end)
        self._thread.join(5)
