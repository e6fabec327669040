"""The adapter of confluent-kafka, the Python face of a current librdkafka."""

import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from client import DEADLINE_S, HEARTBEAT_MS, SESSION_TIMEOUT_MS, Client, Incoming, ThreadedMember
from scenarios import run_all
from transactions import check_name


class Confluent(Client):
    """confluent-kafka."""

    name = "confluent-kafka"
    version = f"{confluent_kafka.version()} (librdkafka {confluent_kafka.libversion()[0]})"

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self._admin = AdminClient({"bootstrap.servers": bootstrap})

    def create_topic(self, topic, partition_count, replication_factor=1):
        finish(self._admin.create_topics([NewTopic(topic, partition_count, replication_factor)]))

    def partition_count(self, topic):
        found = self._admin.list_topics(timeout=10).topics.get(topic)
        return len(found.partitions) if found and found.error is None else 0

    def produce(self, topic, records, codec=None, idempotent=False, acks="all"):
        producer = HeldProducer(
            self.bootstrap,
            topic,
            {"compression.type": codec or "none", "enable.idempotence": idempotent, "acks": acks, "linger.ms": 20},
        )
        places = producer.send(records)
        return None if acks == 0 else places

    def held_producer(self, topic):
        return HeldProducer(self.bootstrap, topic, {"enable.idempotence": True})

    def read(self, topic, starts, count):
        consumer = Consumer(self._consumer_config(f"{topic}-unused"))
        start_of = {p: confluent_kafka.OFFSET_BEGINNING if start == "beginning" else start for p, start in starts.items()}
        consumer.assign([TopicPartition(topic, partition, start) for partition, start in start_of.items()])
        got, end = [], time.monotonic() + DEADLINE_S
        while len(got) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(got)} of {count} records read within {DEADLINE_S:g} s")
            got.extend(incoming(consumer.consume(500, timeout=0.1)))
        consumer.close()
        return got

    def read_to_end(self, topic, partition_count, committed):
        level = "read_committed" if committed else "read_uncommitted"
        consumer = Consumer({**self._consumer_config(f"{topic}-unused"), "isolation.level": level, "enable.partition.eof": True})
        consumer.assign([TopicPartition(topic, partition, confluent_kafka.OFFSET_BEGINNING) for partition in range(partition_count)])
        got, ended, end = [], set(), time.monotonic() + DEADLINE_S
        while len(ended) < partition_count:
            if time.monotonic() > end:
                raise TimeoutError(f"only the ends of {ended} are reached within {DEADLINE_S:g} s")
            messages = consumer.consume(500, timeout=0.1)
            ended |= {m.partition() for m in messages if m.error() and m.error().code() == confluent_kafka.KafkaError._PARTITION_EOF}
            got.extend(incoming(messages))
        consumer.close()
        return got

    def transactional(self, transactional_id):
        return TransactionalProducer(self.bootstrap, transactional_id)

    def _consumer_config(self, group):
        return {"bootstrap.servers": self.bootstrap, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "error"}

    def join(self, group, topic):
        return Member(self.bootstrap, group, topic)

    def committed(self, group, topic, partitions):
        # Not through AdminClient.list_consumer_group_offsets: see findings.md.
        consumer = Consumer(self._consumer_config(group))
        found = consumer.committed([TopicPartition(topic, partition) for partition in partitions], timeout=10)
        consumer.close()
        return {place.partition: place.offset for place in found}

    def offsets_for_time(self, topic, partitions, timestamp_ms):
        consumer = Consumer(self._consumer_config(f"{topic}-unused"))
        found = consumer.offsets_for_times([TopicPartition(topic, partition, timestamp_ms) for partition in partitions], timeout=DEADLINE_S)
        consumer.close()
        return {place.partition: place.offset for place in found}

    def grow_topic(self, topic, partition_count):
        finish(self._admin.create_partitions([NewPartitions(topic, partition_count)]))

    def set_topic_config(self, topic, name, value):
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        finish(self._admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]))

    def topic_config(self, topic, name):
        (found,) = finish(self._admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))
        return found[name].value

    def groups(self):
        return {group.group_id for group in self._admin.list_consumer_groups().result(DEADLINE_S).valid}

    def delete_topic(self, topic):
        finish(self._admin.delete_topics([topic]))


class HeldProducer:
    """A producer that stays connected."""

    def __init__(self, bootstrap, topic, config):
        self._topic = topic
        self.producer = Producer({"bootstrap.servers": bootstrap, **config})

    def send(self, records, topic=None):
        """Sends all, waits for the delivery reports and returns (partition, offset) of each."""
        places = [None] * len(records)
        errors = []

        def deliver(index):
            def report(error, message):
                if error is not None:
                    errors.append(error)
                else:
                    places[index] = (message.partition(), message.offset())

            return report

        for index, record in enumerate(records):
            chosen = {} if record.partition is None else {"partition": record.partition}
            self.producer.produce(topic or self._topic, record.value, record.key, headers=list(record.headers), on_delivery=deliver(index), **chosen)
        end = time.monotonic() + DEADLINE_S
        while self.producer.flush(0.2):
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self.producer)} records not delivered within {DEADLINE_S:g} s")
        if errors:
            raise KafkaException(errors[0])
        return places

    def close(self):
        """Nothing is left to do: the queue is empty after every send."""


class TransactionalProducer:
    """A producer with a transactional id."""

    def __init__(self, bootstrap, transactional_id):
        # Deliveries are reported to HeldProducer.send.
        self._held = HeldProducer(bootstrap, None, {"transactional.id": transactional_id})
        self._producer = self._held.producer
        self._producer.init_transactions(DEADLINE_S)
        self._bootstrap = bootstrap
        self.begin = self._producer.begin_transaction

    def send(self, topic, records):
        """Sends all and waits for the acknowledgements."""
        return self._held.send(records, topic)

    def commit(self):
        """Commits."""
        self._producer.commit_transaction(DEADLINE_S)

    def abort(self):
        """Aborts."""
        self._producer.abort_transaction(DEADLINE_S)

    def send_offsets(self, group, topic, offsets):
        """Commits offsets of a group with the transaction."""
        consumer = Consumer({"bootstrap.servers": self._bootstrap, "group.id": group})
        places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        self._producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata(), DEADLINE_S)
        consumer.close()

    def check_fenced(self, error):
        """Raises unless the error says that another producer has the id."""
        check_name(error, "_FENCED", "PRODUCER_FENCED")

    def close(self):
        """Nothing is under way."""


class Member(ThreadedMember):
    """A consumer in a group."""

    def __init__(self, bootstrap, group, topic):
        self._config = {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": HEARTBEAT_MS,
        }
        super().__init__(group, topic)

    def _open(self):
        self._consumer = Consumer(self._config)
        self._consumer.subscribe([self.topic])

    def _poll(self):
        return incoming(self._consumer.consume(500, timeout=0.1), in_group=True)

    def _assigned(self):
        return {place.partition for place in self._consumer.assignment()}

    def _commit(self):
        self._consumer.commit(asynchronous=False)

    def _close(self):
        self._consumer.close()


def finish(futures):
    """The results of an admin call."""
    return [future.result(DEADLINE_S) for future in futures.values()]


def incoming(messages, in_group=False):
    """The records of one poll; an error that the client does not retry by itself is raised."""
    got = []
    for message in messages:
        error = message.error()
        if error is not None:
            if in_group and error.retriable() or error.code() in TRANSIENT:
                continue
            raise KafkaException(error)
        headers = tuple(message.headers() or ())
        got.append(Incoming(message.partition(), message.offset(), message.key(), message.value(), headers))
    return got


TRANSIENT = {
    confluent_kafka.KafkaError._ALL_BROKERS_DOWN,
    confluent_kafka.KafkaError._TRANSPORT,
    confluent_kafka.KafkaError._PARTITION_EOF,
}


if __name__ == "__main__":
    run_all(Confluent(sys.argv[1]), sys.argv[2:])
