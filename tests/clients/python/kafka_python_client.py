"""The adapter of kafka-python."""

import sys
import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from client import DEADLINE_S, HEARTBEAT_MS, SESSION_TIMEOUT_MS, Client, Incoming, ThreadedMember
from scenarios import run_all
from transactions import check_name


class KafkaPython(Client):
    """kafka-python, synchronous and in pure Python."""

    name = "kafka-python"
    version = kafka.__version__
    null_headers = False  # the producer refuses them

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self._admin = None

    def admin(self):
        """One admin client for the whole run."""
        if self._admin is None:
            self._admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        return self._admin

    def create_topic(self, topic, partition_count, replication_factor=1):
        options = {"num_partitions": partition_count, "replication_factor": replication_factor}
        self.admin().create_topics({topic: options}, timeout_ms=10_000)

    def partition_count(self, topic):
        if topic not in self.admin().list_topics():
            return 0
        found = self.admin().describe_topics([topic])
        return len(found[0]["partitions"]) if found and not found[0]["error_code"] else 0

    def produce(self, topic, records, codec=None, idempotent=False, acks="all"):
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, compression_type=codec, enable_idempotence=idempotent, acks=acks, linger_ms=20)
        try:
            return send(producer, topic, records, acks)
        finally:
            producer.close(timeout=DEADLINE_S)

    def held_producer(self, topic):
        return HeldProducer(self.bootstrap, topic)

    def read(self, topic, starts, count):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="none")
        partitions = {TopicPartition(topic, partition): start for partition, start in starts.items()}
        consumer.assign(list(partitions))
        for partition, start in partitions.items():
            if start == "beginning":
                consumer.seek_to_beginning(partition)
            else:
                consumer.seek(partition, start)
        got, end = [], time.monotonic() + DEADLINE_S
        while len(got) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(got)} of {count} records read within {DEADLINE_S:g} s")
            got.extend(incoming(consumer.poll(timeout_ms=500)))
        consumer.close()
        return got

    def read_to_end(self, topic, partition_count, committed):
        level = "read_committed" if committed else "read_uncommitted"
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, isolation_level=level)
        places = [TopicPartition(topic, partition) for partition in range(partition_count)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        got, end = [], time.monotonic() + DEADLINE_S
        while any(consumer.position(place) < ends[place] for place in places):
            if time.monotonic() > end:
                raise TimeoutError(f"the ends {ends} are not reached within {DEADLINE_S:g} s")
            got.extend(incoming(consumer.poll(timeout_ms=100)))
        consumer.close()
        return got

    def transactional(self, transactional_id):
        return TransactionalProducer(self.bootstrap, transactional_id)

    def join(self, group, topic):
        return Member(self.bootstrap, group, topic)

    def committed(self, group, topic, partitions):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=group, enable_auto_commit=False)
        found = {partition: consumer.committed(TopicPartition(topic, partition)) for partition in partitions}
        consumer.close()
        return found

    def offsets_for_time(self, topic, partitions, timestamp_ms):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap)
        found = consumer.offsets_for_times({TopicPartition(topic, partition): timestamp_ms for partition in partitions})
        consumer.close()
        return {place.partition: at and at.offset for place, at in found.items()}

    def after_restart(self):
        # The admin client of 3.0 answers NodeNotReadyError for ever once its connection was closed.
        self._admin = None

    def grow_topic(self, topic, partition_count):
        self.admin().create_partitions({topic: partition_count})

    def set_topic_config(self, topic, name, value):
        self.admin().alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {name: value})])

    def topic_config(self, topic, name):
        found = self.admin().describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        (by_name,) = found.values()
        return by_name[topic][name]["value"]

    def groups(self):
        return {group["group_id"] for group in self.admin().list_groups()}

    def delete_topic(self, topic):
        self.admin().delete_topics([topic])


class HeldProducer:
    """A producer that stays connected."""

    def __init__(self, bootstrap, topic):
        self._topic = topic
        self._producer = KafkaProducer(bootstrap_servers=bootstrap)

    def send(self, records):
        """Sends all and waits for the acknowledgements."""
        send(self._producer, self._topic, records, "all")

    def close(self):
        """Disconnects."""
        self._producer.close(timeout=DEADLINE_S)


class TransactionalProducer:
    """A producer with a transactional id."""

    def __init__(self, bootstrap, transactional_id):
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=transactional_id)
        self._producer.init_transactions()
        self.begin = self._producer.begin_transaction
        self.commit = self._producer.commit_transaction
        self.abort = self._producer.abort_transaction

    def send(self, topic, records):
        """Sends all and waits for the acknowledgements."""
        return send(self._producer, topic, records, "all")

    def send_offsets(self, group, topic, offsets):
        """Commits offsets of a group with the transaction."""
        places = {TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
        self._producer.send_offsets_to_transaction(places, group)

    def check_fenced(self, error):
        """Raises unless the error says that another producer has the id."""
        check_name(error, "ProducerFenced", "InvalidProducerEpoch")

    def close(self):
        """Disconnects."""
        self._producer.close(timeout=DEADLINE_S)


class Member(ThreadedMember):
    """A consumer in a group."""

    def __init__(self, bootstrap, group, topic):
        self._bootstrap = bootstrap
        self._consumer = None
        super().__init__(group, topic)

    def _open(self):
        self._consumer = KafkaConsumer(
            self.topic,
            bootstrap_servers=self._bootstrap,
            group_id=self.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
        )

    def _poll(self):
        # Long enough for a join and its sync: a poll that ends between the two loses the assignment (findings.md).
        return incoming(self._consumer.poll(timeout_ms=2000))

    def assignment(self):
        super().assignment()
        return frozenset(self._assigned())

    def _assigned(self):
        if self._consumer is None:
            return set()
        try:
            return {place.partition for place in self._consumer.assignment()}
        except RuntimeError:  # it changes while another thread looks
            return set()

    def _commit(self):
        places = self._consumer.assignment()
        self._consumer.commit({place: OffsetAndMetadata(self._consumer.position(place), "", -1) for place in places})

    def _close(self):
        self._consumer.close(autocommit=False)


def send(producer, topic, records, acks):
    """Sends all and waits for the acknowledgements; without acks nobody tells the offsets."""
    futures = [producer.send(topic, r.value, r.key, list(r.headers), r.partition) for r in records]
    producer.flush(timeout=DEADLINE_S)
    placed = [future.get(timeout=DEADLINE_S) for future in futures]
    return None if acks == 0 else [(place.partition, place.offset) for place in placed]


def incoming(polled):
    """The records of one poll."""
    return [
        Incoming(record.partition, record.offset, record.key, record.value, tuple(record.headers))
        for records in polled.values()
        for record in records
    ]


if __name__ == "__main__":
    run_all(KafkaPython(sys.argv[1]), sys.argv[2:])
