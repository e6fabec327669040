"""The few Kafka requests that the bench itself sends, over a plain socket, so that waiting for a server costs no client.

Invariants: every call has a deadline; a server that does not answer is False or None, never an exception.
"""

import socket
import struct
import time

API_LIST_OFFSETS, API_METADATA, API_VERSIONS = 2, 3, 18
LATEST = -1


def _text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def _read(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise OSError("the connection was closed")
        data += part
    return data


def _ask(port, api, version, body, timeout_s):
    """One request on a connection of its own; the answer without its correlation id."""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        connection.settimeout(timeout_s)
        request = struct.pack(">hhi", api, version, 1) + _text("bench") + body
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", _read(connection, 4))
        return _read(connection, size)[4:]


def serves(port, timeout_s=2.0):
    """Whether ApiVersions is answered without an error."""
    try:
        return struct.unpack_from(">h", _ask(port, API_VERSIONS, 0, b"", timeout_s))[0] == 0
    except (OSError, struct.error):
        return False


def end_offset(port, topic, partition=0, timeout_s=2.0):
    """The offset behind the newest record, or None while the server cannot say."""
    body = struct.pack(">ii", -1, 1) + _text(topic) + struct.pack(">iiq", 1, partition, LATEST)
    try:
        answer = _ask(port, API_LIST_OFFSETS, 1, body, timeout_s)
        # Topics (1), the name, partitions (1), then index, error, timestamp, offset.
        position = 4 + 2 + len(topic.encode()) + 4
        _, error, _, offset = struct.unpack_from(">ihqq", answer, position)
        return offset if error == 0 else None
    except (OSError, struct.error):
        return None


def metadata_seconds(port, timeout_s=30.0):
    """How long a Metadata request for all topics takes, until its last byte."""
    begun = time.monotonic()
    _ask(port, API_METADATA, 1, struct.pack(">i", -1), timeout_s)
    return time.monotonic() - begun


def wait_until(condition, deadline_s, pause_s=0.001):
    """Seconds until `condition()` was true; TimeoutError after `deadline_s`."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > deadline_s:
            raise TimeoutError(f"not within {deadline_s:g} s")
        time.sleep(pause_s)
    return time.monotonic() - begun
