"""The few Kafka requests that the suites send themselves, in the standard library alone.

For what no client shows: that a server answers at all, which codec and which producer id a stored batch
carries, and creating topics for clients that have no admin API. Versions are the oldest a Kafka 4 broker serves.

Invariants
1. Every call opens its own connection, ends it, and has a deadline.
2. A short or odd reply is an error, never fewer results.
"""

import itertools
import socket
import struct
import time
from dataclasses import dataclass

PRODUCE, FETCH, API_VERSIONS, CREATE_TOPICS = 0, 1, 18, 19
TOPIC_ALREADY_EXISTS = 36
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
BATCH_HEADER = struct.Struct(">qiibIhiqqqhii")

_correlation = itertools.count(1)


class WireError(Exception):
    """The server answered with an error code, or not as the protocol says."""


@dataclass(frozen=True)
class BatchFacts:
    """What the header of one stored record batch says."""

    base_offset: int
    codec: str
    producer_id: int
    base_sequence: int
    record_count: int
    timestamp_type: str


class _Reader:
    def __init__(self, data):
        self.data, self.position = data, 0

    def take(self, size):
        if size < 0 or self.position + size > len(self.data):
            raise WireError("the reply ends too early")
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, layout):
        return struct.unpack(">" + layout, self.take(struct.calcsize(">" + layout)))[0]

    def string(self):
        size = self.number("h")
        return None if size < 0 else self.take(size).decode()

    def array(self, element):
        return [element() for _ in range(max(0, self.number("i")))]


def _string(text):
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _receive(connection, size):
    parts = []
    while size > 0:
        part = connection.recv(min(size, 1 << 20))
        if not part:
            raise WireError("the server closed the connection")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def call(bootstrap, key, version, body, timeout_s=10.0):
    """Sends one request with a header of version 1 and returns a reader of the reply's body."""
    host, _, port = bootstrap.rpartition(":")
    correlation = next(_correlation)
    request = struct.pack(">hhi", key, version, correlation) + _string("alluvium-suite") + body
    with socket.create_connection((host, int(port)), timeout_s) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(struct.pack(">i", len(request)) + request)
        size = struct.unpack(">i", _receive(connection, 4))[0]
        reply = _Reader(_receive(connection, size))
    if reply.number("i") != correlation:
        raise WireError("the reply belongs to another request")
    return reply


def api_versions(bootstrap, timeout_s=2.0):
    """Every served API key with its oldest and newest version."""
    reply = call(bootstrap, API_VERSIONS, 0, b"", timeout_s)
    error = reply.number("h")
    if error:
        raise WireError(f"ApiVersions answered error {error}")
    return {key: (low, high) for key, low, high in reply.array(lambda: (reply.number("h"), reply.number("h"), reply.number("h")))}


def serves(bootstrap):
    """True when the server answers ApiVersions."""
    try:
        return bool(api_versions(bootstrap))
    except (OSError, WireError):
        return False


def wait_until_serves(bootstrap, deadline_s, alive=lambda: True):
    """Waits until the server answers; False when it did not within the deadline or `alive` says it ended."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if serves(bootstrap):
            return True
        if not alive():
            return False
        time.sleep(0.02)
    return False


def create_topic(bootstrap, name, partition_count, replication_factor=1):
    """Creates a topic; one that exists already is an error."""
    body = struct.pack(">i", 1) + _string(name) + struct.pack(">ihii", partition_count, replication_factor, 0, 0)
    reply = call(bootstrap, CREATE_TOPICS, 2, body + struct.pack(">i?", 10_000, False))
    reply.number("i")
    for topic, error, message in reply.array(lambda: (reply.string(), reply.number("h"), reply.string())):
        if error:
            raise WireError(f"CreateTopics of {topic} answered error {error}: {message}")


def batches(bootstrap, topic, partition, offset=0):
    """The headers of the batches that one fetch from `offset` returns."""
    body = struct.pack(">iiiibi", -1, 500, 1, 50 << 20, 0, 1) + _string(topic)
    reply = call(bootstrap, FETCH, 4, body + struct.pack(">iiqi", 1, partition, offset, 50 << 20))
    reply.number("i")
    found = []

    def read_partition():
        reply.number("i")
        error = reply.number("h")
        if error:
            raise WireError(f"Fetch of {topic}-{partition} at {offset} answered error {error}")
        reply.number("q"), reply.number("q")
        reply.array(lambda: (reply.number("q"), reply.number("q")))
        found.extend(_batch_facts(reply.take(max(0, reply.number("i")))))

    reply.array(lambda: (reply.string(), reply.array(read_partition)))
    return found


def _batch_facts(records):
    position, facts = 0, []
    while position + BATCH_HEADER.size <= len(records):
        (base, length, _, magic, _, attributes, _, _, _, producer_id, _, sequence, count) = BATCH_HEADER.unpack_from(records, position)
        if magic != 2:
            raise WireError(f"a batch of format {magic} at offset {base}")
        kind = "LogAppendTime" if attributes & 8 else "CreateTime"
        facts.append(BatchFacts(base, CODECS[attributes & 7], producer_id, sequence, count, kind))
        position += 12 + length
    return facts
