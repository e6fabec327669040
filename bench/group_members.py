"""Very many idle members of consumer groups, on plain sockets: a thousand stock clients would measure themselves.

They speak what librdkafka speaks: JoinGroup 5, SyncGroup 3, Heartbeat 3. The leader gives everybody an empty assignment.

Invariants: a member that is refused for another reason than a rebalance is an error and no result.
"""

import asyncio
import struct
import time

API_JOIN, API_HEARTBEAT, API_SYNC = 11, 12, 14
NONE, REBALANCE_IN_PROGRESS, MEMBER_ID_REQUIRED = 0, 27, 79
MEMBERS_PER_GROUP = 100
HEARTBEAT_S = 3.0
SESSION_MS, REBALANCE_MS = 45_000, 120_000


def _text(value):
    if value is None:
        return struct.pack(">h", -1)
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def _bytes(value):
    return struct.pack(">i", len(value)) + value


class Reader:
    """Takes fields off an answer."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        """One or more numbers."""
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values if len(values) > 1 else values[0]

    def text(self):
        """A string that may be null."""
        size = self.take(">h")
        if size < 0:
            return None
        value = self.data[self.at : self.at + size].decode()
        self.at += size
        return value

    def bytes(self):
        """Bytes."""
        size = self.take(">i")
        self.at += max(size, 0)
        return self.data[self.at - max(size, 0) : self.at]


class Member:
    """One member on one connection."""

    def __init__(self, port, group, topic):
        self.port, self.group, self.topic, self.id, self.generation = port, group, topic, "", -1
        self.streams, self.correlation = None, 0

    async def ask(self, api, version, body):
        """One request and its answer."""
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        self.correlation += 1
        request = struct.pack(">hhi", api, version, self.correlation) + _text("bench-member") + body
        writer.write(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        return Reader((await reader.readexactly(size))[4:])

    async def join(self):
        """Joins until the group is settled with this member in it."""
        subscription = struct.pack(">hi", 0, 1) + _text(self.topic) + _bytes(b"")
        while True:
            body = _text(self.group) + struct.pack(">ii", SESSION_MS, REBALANCE_MS) + _text(self.id) + _text(None)
            body += _text("consumer") + struct.pack(">i", 1) + _text("range") + _bytes(subscription)
            answer = await self.ask(API_JOIN, 5, body)
            answer.take(">i")
            error, self.generation = answer.take(">h"), answer.take(">i")
            answer.text()
            leader, self.id = answer.text(), answer.text()
            if error in (MEMBER_ID_REQUIRED, REBALANCE_IN_PROGRESS):
                continue
            if error != NONE:
                raise RuntimeError(f"JoinGroup: error {error}")
            members = []
            for _ in range(answer.take(">i")):
                members.append(answer.text())
                answer.text()
                answer.bytes()
            if await self.sync(members if leader == self.id else []):
                return

    async def sync(self, members):
        """Whether the generation was settled."""
        assignments = b"".join(_text(member) + _bytes(struct.pack(">hi", 0, 0) + _bytes(b"")) for member in members)
        body = _text(self.group) + struct.pack(">i", self.generation) + _text(self.id) + _text(None)
        answer = await self.ask(API_SYNC, 3, body + struct.pack(">i", len(members)) + assignments)
        answer.take(">i")
        error = answer.take(">h")
        if error not in (NONE, REBALANCE_IN_PROGRESS):
            raise RuntimeError(f"SyncGroup: error {error}")
        return error == NONE

    async def heartbeat(self):
        """Whether the generation still stands."""
        body = _text(self.group) + struct.pack(">i", self.generation) + _text(self.id) + _text(None)
        answer = await self.ask(API_HEARTBEAT, 3, body)
        answer.take(">i")
        error = answer.take(">h")
        if error not in (NONE, REBALANCE_IN_PROGRESS):
            raise RuntimeError(f"Heartbeat: error {error}")
        return error == NONE


async def _live(member, joined, until, counts):
    await member.join()
    counts["joined"] += 1
    if counts["joined"] >= counts["members"]:
        joined.set()
    while not until.is_set():
        await asyncio.sleep(HEARTBEAT_S)
        if await member.heartbeat():
            counts["heartbeats"] += 1
        else:
            await member.join()


async def idle_members(port, topic, count, seconds, before):
    """Lets `count` members be idle for `seconds`. Returns the seconds until all had joined, their heartbeats, and what `before` said."""
    joined, until, counts = asyncio.Event(), asyncio.Event(), {"members": count, "joined": 0, "heartbeats": 0}
    members = [Member(port, f"idle-{index // MEMBERS_PER_GROUP}", topic) for index in range(count)]
    begun = time.monotonic()
    lives = [asyncio.create_task(_live(member, joined, until, counts)) for member in members]
    waiting = asyncio.create_task(joined.wait())
    done, _ = await asyncio.wait([waiting, *lives], timeout=180, return_when=asyncio.FIRST_COMPLETED)
    if waiting not in done:
        for life in done:
            life.result()
        raise TimeoutError(f"{counts['joined']} of {count} members joined")
    joined_s = time.monotonic() - begun
    # Late joiners have made the others join again: let them settle.
    await asyncio.sleep(2 * HEARTBEAT_S)
    noted, first = before(), counts["heartbeats"]
    await asyncio.sleep(seconds)
    heartbeats = counts["heartbeats"] - first
    until.set()
    for life in lives:
        life.cancel()
    for result in await asyncio.gather(*lives, return_exceptions=True):
        if isinstance(result, Exception) and not isinstance(result, asyncio.CancelledError):
            raise result
    for member in members:
        if member.streams:
            member.streams[1].close()
    return joined_s, heartbeats, noted
