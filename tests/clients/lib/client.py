"""What a client adapter offers to the scenarios. Each adapter drives one stock client through its own API.

Invariants
1. An adapter never talks to the server but through its client.
2. Every wait has a deadline; what did not arrive in time raises TimeoutError that says what is missing.
3. What a client lacks raises Lacking with the reason, and the scenario is reported as skipped.
"""

import queue
import threading
import time
from dataclasses import dataclass, field

from report import Skip

DEADLINE_S = 30.0
SESSION_TIMEOUT_MS = 6000
HEARTBEAT_MS = 500


class Lacking(Skip):
    """The client has no such feature."""


@dataclass(frozen=True)
class Outgoing:
    """A record to produce; `partition` None leaves the choice to the client."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple = ()
    partition: int | None = None


@dataclass(frozen=True)
class Incoming:
    """A record as a consumer got it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple = field(default=())


def wait_for(what, condition, deadline_s=DEADLINE_S, pause_s=0.02):
    """Waits until `condition()` is truthy and returns it."""
    end = time.monotonic() + deadline_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {deadline_s:g} s")
        time.sleep(pause_s)


class Client:
    """The base of the adapters."""

    name = ""
    codecs_lacking: dict = {}
    null_headers = True
    binary_headers = True
    null_values = True

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    def create_topic(self, topic, partition_count, replication_factor=1):
        """Creates the topic through the client's admin API."""
        raise Lacking("the client has no admin API")

    def partition_count(self, topic):
        """The number of partitions in the client's metadata, 0 for a topic that is unknown."""
        raise NotImplementedError

    def produce(self, topic, records, codec=None, idempotent=False, acks="all"):
        """Sends all and waits for the acknowledgements; returns (partition, offset) of each, or None where the client does not tell."""
        raise NotImplementedError

    def read(self, topic, starts, count):
        """Reads `count` records from the given offsets by partition ("beginning" is allowed), without a group."""
        raise NotImplementedError

    def join(self, group, topic):
        """Starts a member of a consumer group that reads from the earliest offset when nothing is committed."""
        raise NotImplementedError

    def held_producer(self, topic):
        """A producer that stays connected: has send(records) and close()."""
        raise NotImplementedError

    def transactional(self, transactional_id):
        """A producer with this id, ready to begin: has begin(), send(topic, records) that waits for the acknowledgements, commit(), abort(),
        send_offsets(group, topic, offset by partition), check_fenced(error) and close()."""
        raise Lacking("the client has no transactional producer")

    def read_to_end(self, topic, partition_count, committed):
        """Reads all partitions from the beginning to the end that read_committed, or read_uncommitted, has now."""
        raise Lacking("the client has no isolation levels")

    def committed(self, group, topic, partitions):
        """The committed offset by partition."""
        raise Lacking("the client cannot ask for committed offsets")

    def offsets_for_time(self, topic, partitions, timestamp_ms):
        """By partition the first offset at or after the time."""
        raise Lacking("the client cannot ask for offsets by time")

    def after_restart(self):
        """Called when the server was restarted: drops admin connections that the client does not renew."""

    def grow_topic(self, topic, partition_count):
        """Raises the number of partitions."""
        raise Lacking("the client has no admin API")

    def set_topic_config(self, topic, name, value):
        """Sets one topic config."""
        raise Lacking("the client has no admin API")

    def topic_config(self, topic, name):
        """Reads one topic config."""
        raise Lacking("the client has no admin API")

    def groups(self):
        """The ids of all consumer groups."""
        raise Lacking("the client has no admin API")

    def delete_topic(self, topic):
        """Deletes the topic."""
        raise Lacking("the client has no admin API")


class ThreadedMember:
    """A group member that polls on a thread of its own; every call of the client's consumer happens there.

    Subclasses define _open, _poll (a list of Incoming), _assigned (a set of partitions), _commit and _close.
    """

    def __init__(self, group, topic):
        self.group, self.topic = group, topic
        self.received: list = []
        self._partitions: frozenset = frozenset()
        self._error = None
        self._commands: queue.Queue = queue.Queue()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def assignment(self):
        """The partitions that the member owns now."""
        if self._error is not None:
            raise self._error
        return self._partitions

    def commit(self):
        """Commits the position behind everything received."""
        self._command("commit")

    def leave(self):
        """Leaves the group."""
        self._command("leave")
        self._thread.join(DEADLINE_S)

    def _command(self, name):
        done: queue.Queue = queue.Queue()
        self._commands.put((name, done))
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            try:
                error = done.get(timeout=0.2)
            except queue.Empty:
                if self._error is not None:
                    raise self._error
                continue
            if error is not None:
                raise error
            return
        raise TimeoutError(f"{name} of a group member: not within {DEADLINE_S:g} s")

    def _live(self):
        try:
            self._open()
            while self._step():
                self.received.extend(self._poll())
                self._partitions = frozenset(self._assigned())
        except Exception as error:
            self._error = error

    def _step(self):
        try:
            name, done = self._commands.get_nowait()
        except queue.Empty:
            return True
        try:
            self._commit() if name == "commit" else self._close()
        except Exception as error:
            done.put(error)
        else:
            done.put(None)
        return name == "commit"
