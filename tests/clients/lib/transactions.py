"""Transactions, written once for the clients that have them: client.Client.transactional and read_to_end.

Invariants
1. What counts is what consumers of both isolation levels are shown, up to the end that their client is told.
2. A transaction that is open is never visible to read_committed; one that was committed is, at once.
"""

import os
import shlex
import subprocess
import time

from checks import check, equal
from client import Outgoing, wait_for
from report import Skip

REFERENCE = os.environ.get("REFERENCE", "") == "1"


class TransactionScenarios:
    """The scenarios of transactions, on the topics of a suite's Scenarios."""

    def __init__(self, scenarios):
        self._client, self._names = scenarios.client, scenarios

    def all(self):
        """(name, action, deadline in seconds)."""
        yield "transactions_commit_and_abort", self.commit_and_abort, 60
        yield "transactions_in_all_partitions", self.in_all_partitions, 60
        yield "transactions_fencing", self.fencing, 60
        yield "transactions_offsets", self.offsets, 60
        yield "transactions_compacted", self.compacted, 90

    def _values(self, topic, partitions, committed):
        return [record.value for record in self._client.read_to_end(topic, partitions, committed)]

    def _shows(self, what, topic, expected):
        """What read_committed shows of a partition: at once, or a moment after it answered when it is Apache Kafka."""
        self._settles(what, lambda: self._values(topic, 1, True), expected)

    def _settles(self, what, ask, expected):
        got, end = ask(), time.monotonic() + 15
        while REFERENCE and got != expected and time.monotonic() < end:
            got = ask()
        equal(what, got, expected)

    def commit_and_abort(self):
        """Begin, two sends, commit; begin, send, abort; and nothing of the next before its commit."""
        topic = self._names.topic("transactions", 1)
        producer = self._client.transactional(topic)
        producer.begin()
        producer.send(topic, to_partition(0, b"one", b"two"))
        self._shows("committed before the commit", topic, [])
        producer.commit()
        self._shows("committed after the commit", topic, [b"one", b"two"])
        producer.begin()
        producer.send(topic, to_partition(0, b"aborted"))
        producer.abort()
        self._shows("committed after the abort", topic, [b"one", b"two"])
        producer.begin()
        producer.send(topic, to_partition(0, b"three"))
        self._shows("committed while the next is open", topic, [b"one", b"two"])
        producer.commit()
        producer.close()
        self._shows("committed in the end", topic, [b"one", b"two", b"three"])
        equal("everything", self._values(topic, 1, False), [b"one", b"two", b"aborted", b"three"])
        offsets = [record.offset for record in self._client.read_to_end(topic, 1, False)]
        equal("offsets, with one of each end between", offsets, [0, 1, 3, 5])

    def in_all_partitions(self):
        """Transactions of one record in each partition: each is there in all of them, or in none."""
        topic = self._names.topic("transactions-all")
        producer = self._client.transactional(topic)
        for number in range(24):
            producer.begin()
            producer.send(topic, [Outgoing(b"%d" % number, None, (), partition) for partition in range(3)])
            if number % 4 == 2:
                producer.abort()
            else:
                producer.commit()
        producer.close()
        expected = [b"%d" % number for number in range(24) if number % 4 != 2]

        def by_partition():
            got = self._client.read_to_end(topic, 3, True)
            return [[record.value for record in got if record.partition == partition] for partition in range(3)]

        self._settles("committed in each partition", by_partition, [expected] * 3)
        equal("records in all", len(self._values(topic, 3, False)), 72)

    def fencing(self):
        """A second producer with the same id ends what the first had under way, and the first is out."""
        topic = self._names.topic("transactions-fencing", 1)
        old = self._client.transactional(topic)
        old.begin()
        old.send(topic, to_partition(0, b"old"))
        young = self._client.transactional(topic)
        young.begin()
        young.send(topic, to_partition(0, b"young"))
        try:
            old.commit()
        except Exception as error:
            old.check_fenced(error)
        else:
            raise AssertionError("a producer that was fenced has committed")
        young.commit()
        young.close()
        self._shows("committed", topic, [b"young"])

    def offsets(self):
        """Offsets of a group count when their transaction is committed."""
        topic, group = self._names.topic("transactions-offsets", 1), self._names.name("transactions-offsets")
        producer = self._client.transactional(topic)
        producer.begin()
        producer.send(topic, to_partition(0, b"copy"))
        producer.send_offsets(group, topic, {0: 5})
        producer.commit()
        self._settles("committed offsets after a commit", lambda: self._client.committed(group, topic, [0]), {0: 5})
        producer.begin()
        producer.send(topic, to_partition(0, b"aborted"))
        producer.send_offsets(group, topic, {0: 8})
        producer.abort()
        self._settles("committed offsets after an abort", lambda: self._client.committed(group, topic, [0]), {0: 5})
        producer.begin()
        producer.send_offsets(group, topic, {0: 9})
        producer.commit()
        producer.close()
        self._settles("committed offsets of a transaction without records", lambda: self._client.committed(group, topic, [0]), {0: 9})
        self._shows("committed", topic, [b"copy"])


    def compacted(self):
        """What the compactor merged, or compacted by key, reads as before: records, offsets and ends. What was aborted is gone for
        both isolation levels, by which one sees that files are read."""
        if not os.environ.get("SERVER_COMPACT"):
            raise Skip("SERVER_COMPACT is not set")
        for policy in ("delete", "compact"):
            topic = self._names.topic(f"transactions-{policy}", 1)
            self._client.set_topic_config(topic, "cleanup.policy", policy)
            producer = self._client.transactional(topic)
            # The newest file is never compacted by key, so there are two.
            for number in range(5):
                producer.begin()
                # Keys 0 to 9, 1 to 10 and so on.
                producer.send(topic, [Outgoing(b"%d of %d" % (key, number), b"%d" % key, (), 0) for key in range(number, number + 10)])
                if number % 2:
                    producer.abort()
                else:
                    producer.commit()
                if number == 3:
                    compact(topic)
            producer.close()
            before = self._client.read_to_end(topic, 1, True)
            places = [*range(10), *range(22, 32), *range(44, 54)]
            if policy == "delete":
                equal("offsets before", [record.offset for record in before], places)
            compact(topic)
            # In the first file each key has one record left, its last: 0 and 1 of the first transaction.
            left = places if policy == "delete" else [0, 1, *places[10:]]
            expected = [record for record in before if record.offset in left]
            wait_for("the node to read what was merged", lambda: self._client.read_to_end(topic, 1, False) == expected)
            equal("offsets", [record.offset for record in expected], left)
            equal("committed records", self._client.read_to_end(topic, 1, True), expected)
            self._client.produce(topic, [Outgoing(b"after", b"0", (), 0)])
            for committed in (True, False):
                *others, after = self._client.read_to_end(topic, 1, committed)
                equal("records before the last", others, expected)
                equal("the last", (after.offset, after.value), (55, b"after"))


def compact(topic):
    """Has everything of the topic merged that can be."""
    command = [*shlex.split(os.environ["SERVER_COMPACT"]), topic]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    check(done.returncode == 0, f"{command}: {done.stdout[-300:]}")


def to_partition(partition, *values):
    """Records of these values for one partition."""
    return [Outgoing(value, None, (), partition) for value in values]


def check_name(error, *words):
    """Raises unless the error's name or text contains one of the words."""
    text = f"{type(error).__name__} {error}"
    check(any(word.lower() in text.lower() for word in words), f"a fenced producer is told {text}")
