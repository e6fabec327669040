"""The scenarios that every client passes, written once against client.Client.

Invariants
1. Names of topics and groups are unique to the run, so that one broker can serve many runs.
2. A scenario proves what it says by reading back: equal bytes, dense offsets, nothing twice outside of groups.
3. A scenario depends on no other.
"""

import collections
import os
import subprocess
import time
import uuid

import wire
from checks import check, equal
from client import Outgoing, wait_for
from report import Report, Skip
from transactions import TransactionScenarios

PARTITION_COUNT = 3
CODECS = ("gzip", "snappy", "lz4", "zstd")
RESTART_DEADLINE_S = 120
RUN = uuid.uuid4().hex[:8]


def run_all(client, only=None, scenarios=None):
    """Runs every scenario for one client and ends the process."""
    report = Report(client.name)
    suite = scenarios or Scenarios(client)
    for name, action, deadline_s in suite.all():
        if only and name not in only:
            continue
        report.run(name, action, deadline_s)
    report.finish()


class Scenarios:
    """The scenarios bound to one client."""

    def __init__(self, client):
        self.client = client

    def all(self):
        """(name, action, deadline in seconds), those that restart the server last."""
        yield "create_topic", self.create_topic, 30
        yield "produce_without_keys", self.produce_without_keys, 30
        yield "produce_with_keys", self.produce_with_keys, 30
        yield "headers", self.headers, 30
        for codec in CODECS:
            yield f"codec_{codec}", lambda codec=codec: self.codec(codec), 30
        yield "idempotence", self.idempotence, 30
        yield "acks", self.acks, 30
        yield "empty_and_null", self.empty_and_null, 30
        yield "large_records", self.large_records, 30
        yield "read_from_beginning", self.read_from_beginning, 30
        yield "read_from_offset", self.read_from_offset, 30
        yield "read_from_time", self.read_from_time, 30
        yield "auto_created_topic", self.auto_created_topic, 30
        yield "grow_topic", self.grow_topic, 30
        yield "topic_configs", self.topic_configs, 30
        yield "delete_topic", self.delete_topic, 30
        yield "group_rebalance", self.group_rebalance, 75
        yield "group_resumes", self.group_resumes, 60
        yield from TransactionScenarios(self).all()
        yield "committed_offsets_after_restart", self.committed_offsets_after_restart, RESTART_DEADLINE_S
        yield "clients_outlive_restart", self.clients_outlive_restart, RESTART_DEADLINE_S

    # Names and topics

    def name(self, scenario):
        return f"{self.client.name}-{scenario}-{RUN}"

    def topic(self, scenario, partition_count=PARTITION_COUNT):
        """A new topic, created by the client or, when it has no admin API, by the suite."""
        topic = self.name(scenario)
        try:
            self.client.create_topic(topic, partition_count)
        except Skip:
            wire.create_topic(self.client.bootstrap, topic, partition_count)
        self.wait_for_partitions(topic, partition_count)
        return topic

    def wait_for_partitions(self, topic, partition_count):
        wait_for(f"{partition_count} partitions of {topic}", lambda: self.client.partition_count(topic) == partition_count)

    def create_topic(self):
        topic = self.name("create")
        self.client.create_topic(topic, PARTITION_COUNT)
        self.wait_for_partitions(topic, PARTITION_COUNT)

    # Produce and read back

    def produce_without_keys(self):
        topic = self.topic("without-keys")
        sent = [Outgoing(b"value-%d" % i) for i in range(300)]
        places = self.client.produce(topic, sent)
        got = self.read_everything(topic, len(sent))
        equal("values", sorted(r.value for r in got), sorted(r.value for r in sent))
        equal("keys", {r.key for r in got}, {None})
        check_places(places, sent, got)

    def produce_with_keys(self):
        topic = self.topic("with-keys")
        sent = [Outgoing(b"value-%d" % i, b"key-%d" % (i % 40)) for i in range(320)]
        places = self.client.produce(topic, sent)
        got = self.read_everything(topic, len(sent))
        check_places(places, sent, got)
        partitions = collections.defaultdict(set)
        for record in got:
            partitions[record.key].add(record.partition)
        equal("partitions of one key", {len(found) for found in partitions.values()}, {1})
        check(len({r.partition for r in got}) == PARTITION_COUNT, "40 keys did not reach all partitions")
        for key in partitions:
            equal(f"order of {key}", [r.value for r in got if r.key == key], [r.value for r in sent if r.key == key])

    def headers(self):
        topic = self.topic("headers")
        headers = [("text", b"grey-blue"), ("empty", b""), ("twice", b"1"), ("twice", b"2"), ("näme", "größe".encode())]
        if self.client.binary_headers:
            headers.append(("binary", bytes(range(256))))
        if self.client.null_headers:
            headers.append(("null", None))
        sent = [Outgoing(b"with", b"k", tuple(headers), 0), Outgoing(b"without", b"k", (), 0)]
        self.client.produce(topic, sent)
        got = self.client.read(topic, {0: "beginning"}, 2)
        equal("headers", [r.headers for r in got], [tuple(headers), ()])

    def codec(self, codec):
        if codec in self.client.codecs_lacking:
            raise Skip(self.client.codecs_lacking[codec])
        topic = self.topic(f"codec-{codec}")
        sent = [Outgoing((b"%d-Alluvium-" % i) * 40, b"%d" % i, (("color", b"grey"),), i % PARTITION_COUNT) for i in range(240)]
        self.client.produce(topic, sent, codec=codec)
        got = self.read_everything(topic, len(sent))
        expected = [(r.key, r.value, r.headers) for r in sent]
        equal("records", sorted((r.key, r.value, r.headers) for r in got), sorted(expected))
        stored = [batch for p in range(PARTITION_COUNT) for batch in wire.batches(self.client.bootstrap, topic, p)]
        equal("codec of the stored batches", {batch.codec for batch in stored}, {codec})

    def idempotence(self):
        topic = self.topic("idempotence")
        sent = [Outgoing(b"value-%d" % i, None, (), i % PARTITION_COUNT) for i in range(600)]
        self.client.produce(topic, sent, idempotent=True)
        got = self.read_everything(topic, len(sent))
        equal("values", sorted(r.value for r in got), sorted(r.value for r in sent))
        for partition in range(PARTITION_COUNT):
            stored = wire.batches(self.client.bootstrap, topic, partition)
            check(stored and all(batch.producer_id >= 0 for batch in stored), "batches without a producer id")
            equal("sequence of the first batch", stored[0].base_sequence, 0)
            for before, after in zip(stored, stored[1:]):
                equal("sequence of the next batch", after.base_sequence, before.base_sequence + before.record_count)

    def acks(self):
        topic = self.topic("acks")
        sent = [Outgoing(b"0-%d" % i, None, (), i % PARTITION_COUNT) for i in range(30)]
        self.client.produce(topic, sent, acks=0)
        more = [Outgoing(b"1-%d" % i, None, (), i % PARTITION_COUNT) for i in range(30)]
        self.client.produce(topic, more, acks=1)
        got = self.read_everything(topic, len(sent) + len(more))
        equal("values", sorted(r.value for r in got), sorted(r.value for r in sent + more))

    def empty_and_null(self):
        topic = self.topic("empty")
        sent = [Outgoing(b"", b"key", (), 0), Outgoing(b"value", b"", (), 0)]
        if self.client.null_values:
            sent.append(Outgoing(None, b"deleted", (), 0))
        self.client.produce(topic, sent)
        got = self.client.read(topic, {0: "beginning"}, len(sent))
        equal("records", [(r.key, r.value) for r in got], [(r.key, r.value) for r in sent])

    def large_records(self):
        topic = self.topic("large")
        sent = [Outgoing(os.urandom(900_000), b"%d" % i, (), i % PARTITION_COUNT) for i in range(6)]
        self.client.produce(topic, sent)
        got = self.read_everything(topic, len(sent))
        check({r.key: r.value for r in got} == {r.key: r.value for r in sent}, "a large value came back changed")

    def read_everything(self, topic, count, partition_count=PARTITION_COUNT):
        """All records from the beginning, checked to have dense offsets."""
        got = self.client.read(topic, dict.fromkeys(range(partition_count), "beginning"), count)
        for partition in range(partition_count):
            offsets = [r.offset for r in got if r.partition == partition]
            equal(f"offsets of partition {partition}", offsets, list(range(len(offsets))))
        return got

    def read_from_beginning(self):
        topic = self.topic("beginning")
        sent = numbered(90)
        self.client.produce(topic, sent)
        self.read_everything(topic, 90)
        got = self.read_everything(topic, 90)
        for partition in range(PARTITION_COUNT):
            expected = [r.value for r in sent if r.partition == partition]
            equal(f"values of partition {partition}", [r.value for r in got if r.partition == partition], expected)

    def read_from_offset(self):
        topic = self.topic("offset")
        sent = numbered(90)
        for start in range(0, 90, 30):
            self.client.produce(topic, sent[start : start + 30])
        starts = {0: 7, 1: 22, 2: 29}
        got = self.client.read(topic, starts, sum(30 - start for start in starts.values()))
        for partition, start in starts.items():
            expected = [(offset, b"%d" % (offset * PARTITION_COUNT + partition)) for offset in range(start, 30)]
            equal(f"records of partition {partition}", [(r.offset, r.value) for r in got if r.partition == partition], expected)

    def read_from_time(self):
        topic = self.topic("time")
        self.client.produce(topic, numbered(30))
        between_ms = time_between()
        self.client.produce(topic, numbered(30))
        found = self.client.offsets_for_time(topic, range(PARTITION_COUNT), between_ms)
        equal("offsets", found, dict.fromkeys(range(PARTITION_COUNT), 10))

    def auto_created_topic(self):
        topic = self.name("auto-created")
        self.client.produce(topic, [Outgoing(b"first", b"k", (), None)])
        count = wait_for("partitions of the new topic", lambda: self.client.partition_count(topic))
        got = self.read_everything(topic, 1, count)
        equal("values", [r.value for r in got], [b"first"])

    # Administration

    def grow_topic(self):
        topic = self.topic("grow")
        self.client.grow_topic(topic, 5)
        self.wait_for_partitions(topic, 5)
        self.client.produce(topic, [Outgoing(b"%d" % p, None, (), p) for p in range(5)])
        self.read_everything(topic, 5, 5)

    def topic_configs(self):
        topic = self.topic("configs")
        check(int(self.client.topic_config(topic, "max.message.bytes")) > 0, "max.message.bytes has no value")
        self.client.set_topic_config(topic, "retention.ms", "123456789")
        equal("retention.ms", self.client.topic_config(topic, "retention.ms"), "123456789")

    def delete_topic(self):
        topic = self.topic("delete")
        self.client.produce(topic, numbered(3))
        self.client.delete_topic(topic)
        wait_for("the topic to be gone", lambda: self.client.partition_count(topic) == 0)

    # Groups

    def group_rebalance(self):
        topic, group = self.topic("group"), self.name("group")
        first = self.client.join(group, topic)
        wait_for("the only member to own all", lambda: first.assignment() == {0, 1, 2})
        second = self.client.join(group, topic)
        wait_for("two members to share all partitions", lambda: shared(first, second))
        sent = numbered(30)
        self.client.produce(topic, sent)
        wait_for("both members to receive everything", lambda: values(first) | values(second) >= {r.value for r in sent})
        check(values(second), "the second member received nothing")
        second.leave()
        wait_for("the remaining member to own all", lambda: first.assignment() == {0, 1, 2})
        more = [Outgoing(b"more-%d" % i, None, (), i % PARTITION_COUNT) for i in range(30)]
        self.client.produce(topic, more)
        wait_for("the remaining member to receive everything", lambda: values(first) >= {r.value for r in more})
        try:
            check(group in self.client.groups(), "the group is not listed")
        except Skip:
            pass
        first.leave()

    def group_resumes(self):
        topic, group = self.topic("resume"), self.name("resume")
        self.read_and_commit(group, topic, numbered(30))
        self.resume(group, topic)

    def committed_offsets_after_restart(self):
        if not os.environ.get("SERVER_RESTART"):
            raise Skip("SERVER_RESTART is not set")
        topic, group = self.topic("restart"), self.name("restart")
        self.read_and_commit(group, topic, numbered(30))
        restart_server(self.client.bootstrap)
        self.client.after_restart()
        try:
            self.wait_for_committed(group, topic, dict.fromkeys(range(PARTITION_COUNT), 10))
        except Skip:
            pass
        self.resume(group, topic)
        self.read_everything(topic, 60)

    def wait_for_committed(self, group, topic, expected):
        """A coordinator that still loads may answer an error, or nothing, for a while; never a wrong offset."""
        end, found = time.monotonic() + 20, None
        while found != expected:
            try:
                found = self.client.committed(group, topic, range(PARTITION_COUNT))
            except Skip:
                raise
            except Exception as error:
                if time.monotonic() > end:
                    raise
                found = error
            if isinstance(found, dict):
                known = {p: offset for p, offset in found.items() if offset is not None and offset >= 0}
                check(known.items() <= expected.items(), f"committed offsets {found} instead of {expected}")
            check(time.monotonic() < end or found == expected, f"committed offsets {found} instead of {expected}")
            time.sleep(0.05)

    def read_and_commit(self, group, topic, sent):
        self.client.produce(topic, sent)
        member = self.client.join(group, topic)
        wait_for("the member to receive everything", lambda: values(member) == {r.value for r in sent})
        member.commit()
        member.leave()

    def resume(self, group, topic):
        """A new member goes on behind the committed offsets: it gets what follows, and only that."""
        more = [Outgoing(b"after-%d" % i, None, (), i % PARTITION_COUNT) for i in range(30)]
        self.client.produce(topic, more)
        member = self.client.join(group, topic)
        wait_for("the next member to receive the rest", lambda: values(member) >= {r.value for r in more})
        equal("records of the next member", sorted(r.value for r in member.received), sorted(r.value for r in more))
        member.leave()

    def clients_outlive_restart(self):
        if not os.environ.get("SERVER_RESTART"):
            raise Skip("SERVER_RESTART is not set")
        topic, group = self.topic("outlive"), self.name("outlive")
        producer, member = self.client.held_producer(topic), self.client.join(group, topic)
        producer.send(numbered(30))
        wait_for("the member to receive everything", lambda: len(values(member)) == 30)
        restart_server(self.client.bootstrap)
        self.client.after_restart()
        more = [Outgoing(b"after-%d" % i, None, (), i % PARTITION_COUNT) for i in range(30)]
        producer.send(more)
        wait_for("the member to receive the rest", lambda: values(member) >= {r.value for r in more}, 60)
        producer.close()
        member.leave()
        self.read_everything(topic, 60)


def numbered(count):
    """Records 0, 1, 2... dealt to the partitions in turn."""
    return [Outgoing(b"%d" % i, None, (), i % PARTITION_COUNT) for i in range(count)]


def values(member):
    """What a member received so far, as a set: a group may deliver twice."""
    member.assignment()
    return {r.value for r in list(member.received)}


def shared(first, second):
    """True when two members own all partitions between them, each at least one."""
    one, other = first.assignment(), second.assignment()
    return one and other and not one & other and one | other == set(range(PARTITION_COUNT))


def time_between():
    """A time in milliseconds that is later than everything sent before and earlier than everything sent after."""
    before = int(time.time() * 1000)
    between = wait_for("the clock to move on", lambda: max(0, int(time.time() * 1000) - before - 20) and int(time.time() * 1000))
    wait_for("the clock to move on", lambda: int(time.time() * 1000) > between + 20)
    return between


def restart_server(bootstrap):
    """Runs the command that stops the server and starts it again on the same data."""
    command = os.environ["SERVER_RESTART"]
    done = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=RESTART_DEADLINE_S)
    check(done.returncode == 0, f"the restart of the server failed: {done.stdout.decode(errors='replace')[-300:]}")
    check(wire.wait_until_serves(bootstrap, 30), "the restarted server does not answer")


def check_places(places, sent, got):
    """The offsets acknowledged to the producer are those that the consumer sees."""
    if places is None:
        return
    stored = {(r.partition, r.offset): r.value for r in got}
    for place, record in zip(places, sent, strict=True):
        equal(f"value at {place}", stored.get(tuple(place)), record.value)
