"""The adapter of aiokafka."""

import asyncio
import sys
import time

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from client import DEADLINE_S, HEARTBEAT_MS, SESSION_TIMEOUT_MS, Client, Incoming, ThreadedMember
from scenarios import run_all
from transactions import check_name


class Aiokafka(Client):
    """aiokafka, driven on one event loop."""

    name = "aiokafka"
    version = aiokafka.__version__

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self._loop = asyncio.new_event_loop()

    def _run(self, work):
        return self._loop.run_until_complete(asyncio.wait_for(work, DEADLINE_S))

    def _administer(self, act):
        async def work():
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            try:
                return await act(admin)
            finally:
                await admin.close()

        return self._run(work())

    def create_topic(self, topic, partition_count, replication_factor=1):
        raise_errors(self._administer(lambda admin: admin.create_topics([NewTopic(topic, partition_count, replication_factor)])).topic_errors)

    def partition_count(self, topic):
        async def count(admin):
            if topic not in await admin.list_topics():
                return 0
            found = await admin.describe_topics([topic])
            return len(found[0]["partitions"]) if found and not found[0]["error_code"] else 0

        return self._administer(count)

    def produce(self, topic, records, codec=None, idempotent=False, acks="all"):
        async def work():
            producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, compression_type=codec, enable_idempotence=idempotent, acks=acks, linger_ms=20)
            await producer.start()
            try:
                return await send(producer, topic, records)
            finally:
                await producer.stop()

        return self._run(work())

    def held_producer(self, topic):
        return HeldProducer(self._run, self.bootstrap, topic)

    def read(self, topic, starts, count):
        return self._run(self._read(topic, starts, count))

    async def _read(self, topic, starts, count):
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="none")
        await consumer.start()
        partitions = {TopicPartition(topic, partition): start for partition, start in starts.items()}
        consumer.assign(list(partitions))
        for partition, start in partitions.items():
            if start == "beginning":
                await consumer.seek_to_beginning(partition)
            else:
                consumer.seek(partition, start)
        got, end = [], time.monotonic() + DEADLINE_S - 2
        try:
            while len(got) < count:
                if time.monotonic() > end:
                    raise TimeoutError(f"{len(got)} of {count} records read")
                got.extend(incoming(await consumer.getmany(timeout_ms=500)))
        finally:
            await consumer.stop()
        return got

    def read_to_end(self, topic, partition_count, committed):
        return self._run(self._read_to_end(topic, partition_count, "read_committed" if committed else "read_uncommitted"))

    async def _read_to_end(self, topic, partition_count, level):
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, isolation_level=level)
        await consumer.start()
        places = [TopicPartition(topic, partition) for partition in range(partition_count)]
        consumer.assign(places)
        got = []
        try:
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(place) < ends[place] for place in places]):
                got.extend(incoming(await consumer.getmany(timeout_ms=100)))
        finally:
            await consumer.stop()
        return got

    def transactional(self, transactional_id):
        return TransactionalProducer(self._run, self.bootstrap, transactional_id)

    def join(self, group, topic):
        return Member(self.bootstrap, group, topic)

    def committed(self, group, topic, partitions):
        found = self._administer(lambda admin: admin.list_consumer_group_offsets(group))
        return {place.partition: at.offset for place, at in found.items() if place.partition in partitions}

    def offsets_for_time(self, topic, partitions, timestamp_ms):
        async def work():
            consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.bootstrap)
            await consumer.start()
            try:
                return await consumer.offsets_for_times({TopicPartition(topic, partition): timestamp_ms for partition in partitions})
            finally:
                await consumer.stop()

        return {place.partition: at and at.offset for place, at in self._run(work()).items()}

    def grow_topic(self, topic, partition_count):
        raise_errors(self._administer(lambda admin: admin.create_partitions({topic: NewPartitions(partition_count)})).topic_errors)

    def set_topic_config(self, topic, name, value):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {name: value})
        for response in self._administer(lambda admin: admin.alter_configs([resource])):
            raise_errors([(topic, code, message) for code, message, _, _ in response.resources])

    def topic_config(self, topic, name):
        found = self._administer(lambda admin: admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]))
        for error_code, message, _, _, entries in found[0].resources:
            raise_errors([(topic, error_code, message)])
            return next(entry[1] for entry in entries if entry[0] == name)

    def groups(self):
        return {group for group, _ in self._administer(lambda admin: admin.list_consumer_groups())}

    def delete_topic(self, topic):
        raise_errors(self._administer(lambda admin: admin.delete_topics([topic])).topic_error_codes)


class HeldProducer:
    """A producer that stays connected."""

    def __init__(self, run, bootstrap, topic):
        self._run, self._topic = run, topic

        async def start():
            self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
            await self._producer.start()

        run(start())

    def send(self, records):
        """Sends all and waits for the acknowledgements."""
        self._run(send(self._producer, self._topic, records))

    def close(self):
        """Disconnects."""
        self._run(self._producer.stop())


class TransactionalProducer:
    """A producer with a transactional id."""

    def __init__(self, run, bootstrap, transactional_id):
        self._run = run

        async def start():
            self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=transactional_id)
            await self._producer.start()

        run(start())

    def begin(self):
        """Begins."""
        self._run(self._producer.begin_transaction())

    def send(self, topic, records):
        """Sends all and waits for the acknowledgements."""
        return self._run(send(self._producer, topic, records))

    def commit(self):
        """Commits."""
        self._run(self._producer.commit_transaction())

    def abort(self):
        """Aborts."""
        self._run(self._producer.abort_transaction())

    def send_offsets(self, group, topic, offsets):
        """Commits offsets of a group with the transaction."""
        places = {TopicPartition(topic, partition): offset for partition, offset in offsets.items()}
        self._run(self._producer.send_offsets_to_transaction(places, group))

    def check_fenced(self, error):
        """Raises unless the error says that another producer has the id."""
        check_name(error, "ProducerFenced")

    def close(self):
        """Disconnects."""
        self._run(self._producer.stop())


class Member(ThreadedMember):
    """A consumer in a group, on an event loop of its own."""

    def __init__(self, bootstrap, group, topic):
        self._bootstrap = bootstrap
        super().__init__(group, topic)

    def _open(self):
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._start())

    async def _start(self):
        self._consumer = AIOKafkaConsumer(
            self.topic,
            bootstrap_servers=self._bootstrap,
            group_id=self.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
        )
        await self._consumer.start()

    def _poll(self):
        return incoming(self._loop.run_until_complete(self._consumer.getmany(timeout_ms=100)))

    def _assigned(self):
        return {place.partition for place in self._consumer.assignment()}

    def _commit(self):
        self._loop.run_until_complete(self._consumer.commit())

    def _close(self):
        self._loop.run_until_complete(self._consumer.stop())


async def send(producer, topic, records):
    """Sends all and waits for the acknowledgements; without acks nobody tells the offsets."""
    futures = [await producer.send(topic, r.value, r.key, r.partition, headers=list(r.headers)) for r in records]
    placed = await asyncio.gather(*futures)
    return None if None in placed else [(place.partition, place.offset) for place in placed]


def raise_errors(topic_errors):
    """Raises when one topic of an admin reply carries an error code."""
    for topic, code, *message in topic_errors:
        if code:
            raise RuntimeError(f"{topic}: error {code} {' '.join(filter(None, message))}")


def incoming(polled):
    """The records of one poll."""
    return [
        Incoming(record.partition, record.offset, record.key, record.value, tuple(record.headers))
        for records in polled.values()
        for record in records
    ]


if __name__ == "__main__":
    run_all(Aiokafka(sys.argv[1]), sys.argv[2:])
