"""The Python clients, steered by a test: README.md says what a worker is told and what it prints."""

import os
import queue
import sys
import threading
import time
import traceback

WRITING = threading.Lock()
FINISH = {}


class Role:
    """One producer or consumer on a thread of its own."""

    def __init__(self, settings):
        self.settings = settings
        self.name = settings["name"]
        self.finish = FINISH[self.name] = threading.Event()

    def say(self, *lines):
        """Prints lines that begin with the name of the role."""
        text = "".join(f"{self.name} {line}\n" for line in lines)
        with WRITING:
            sys.stdout.write(text)
            sys.stdout.flush()

    def run(self, work):
        """Runs the client, and says how it ended."""
        try:
            work(self)
            self.say("done")
        except BaseException as error:  # whatever ends a role is news for the test
            traceback.print_exc()
            self.say(f"failed {error!r}".replace("\n", " "))

    def numbered(self):
        """(partition, number, value) of one record after another at the role's rate, until the role is to finish."""
        partitions, pause = int(self.settings["partitions"]), 1 / float(self.settings["rate"])
        due, sent = time.monotonic(), 0
        while not self.finish.is_set():
            partition, number = sent % partitions, sent // partitions
            yield partition, number, f"{self.name} {partition} {number}".encode()
            sent += 1
            due = max(due + pause, time.monotonic() - 100 * pause)
            self.finish.wait(max(0, due - time.monotonic()))

    def owns(self, generation, partitions):
        """Says what the role owns from now on."""
        self.say(f"owns {generation} {listed(partitions)}")


def listed(partitions):
    """Partition numbers, separated by commas."""
    return ",".join(str(partition) for partition in sorted(partitions))


def confluent_produce(role):
    """librdkafka, idempotent."""
    from confluent_kafka import Producer

    settings = role.settings
    client = {"bootstrap.servers": settings["bootstrap"], "client.id": role.name, "enable.idempotence": True}
    producer = Producer({**client, "error_cb": lambda error: role.say(f"note {error}")})
    role.say("ready")
    for partition, number, value in role.numbered():

        def delivered(error, message, number=number, value=value):
            if error is None:
                role.say(f"ack {message.partition()} {message.offset()} {number}")
            else:
                role.say(f"failed {value.decode()}: {error}")

        producer.produce(settings["topic"], value, partition=partition, on_delivery=delivered)
        producer.poll(0)
    while producer.flush(0.2):
        pass


def debugging():
    """What librdkafka's consumers tell where logs are kept."""
    return {"debug": "cgrp,broker,protocol", "log_level": 7} if "ALLUVIUM_TEST_CLUSTER_LOGS" in os.environ else {}


def confluent_consume(role):
    """librdkafka in a group."""
    from confluent_kafka import Consumer, KafkaError

    settings = role.settings
    client = {
        "bootstrap.servers": settings["bootstrap"],
        "client.id": role.name,
        "group.id": settings["group"],
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "error_cb": lambda error: role.say(f"note {error}"),
        "on_commit": lambda error, _places: committed(error),
    }
    optional = {"instance": "group.instance.id", "protocol": "group.protocol", "rack": "client.rack", "isolation": "isolation.level"}
    client.update({name: settings[key] for key, name in optional.items() if key in settings})
    if "assignor" in settings:
        client["partition.assignment.strategy"] = {"range": "range", "cooperative": "cooperative-sticky"}[settings["assignor"]]
    client.update(debugging())
    cooperative = settings.get("assignor") == "cooperative" or settings.get("protocol") == "consumer"
    owned = set()
    # One commit at a time: librdkafka sends one that broke off again after later ones (../python/findings.md).
    under_way = []

    def committed(error):
        under_way.clear()
        if error is not None:
            role.say(f"note commit: {error}")

    def assigned(consumer, places):
        (consumer.incremental_assign if cooperative else consumer.assign)(places)
        owned.update(place.partition for place in places)
        role.owns(-1, owned)

    def gone(word):
        def report(consumer, places):
            owned.difference_update(place.partition for place in places)
            role.say(f"{word} {listed(place.partition for place in places)}")
            (consumer.incremental_unassign(places) if cooperative else consumer.unassign())

        return report

    consumer = Consumer(client)
    consumer.subscribe([settings["topic"]], on_assign=assigned, on_revoke=gone("revoked"), on_lost=gone("lost"))
    role.say("ready")
    unsaid = False
    while under_way or not role.finish.is_set():
        messages = consumer.consume(500, timeout=0.1)
        good = [message for message in messages if message.error() is None]
        role.say(*(f"got {m.partition()} {m.offset()} {m.value().decode()}" for m in good))
        for message in messages:
            if message.error() is not None and message.error().code() != KafkaError._PARTITION_EOF:
                role.say(f"note {message.error()}")
        unsaid = unsaid or bool(good)
        if unsaid and not under_way:
            under_way.append(True)
            consumer.commit(asynchronous=True)
            unsaid = False
    commit_last(role, lambda: consumer.commit(asynchronous=False))
    consumer.close()


def confluent_copy(role):
    """librdkafka, which copies in transactions. A producer that is out of order is replaced, and its successor ends what it left; so is
    one whose call does not return: librdkafka 2.16 waits without end for a coordinator that has left the cluster (../python/findings.md)."""
    role.say("ready")
    while not role.finish.is_set():
        life = CopierLife(role)
        life.thread.start()
        while life.thread.is_alive() and time.monotonic() - life.moved_at < 25:
            life.thread.join(0.2)
        if life.thread.is_alive() and life.consumer is not None:
            role.say("note begins anew: a call does not return")
            life.consumer.close()


class CopierLife:
    """One producer and one consumer on a thread of their own, which may be left behind."""

    def __init__(self, role):
        self.role, self.consumer, self.moved_at = role, None, time.monotonic()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        """Copies until the role is to finish or the producer is of no use any more."""
        from confluent_kafka import Consumer, KafkaException, Producer

        role, settings = self.role, self.role.settings
        common = {"bootstrap.servers": settings["bootstrap"], "client.id": role.name, "error_cb": lambda error: role.say(f"note {error}")}
        group = {"group.id": settings["group"], "auto.offset.reset": "earliest", "enable.auto.commit": False}
        # A session bears a heartbeat that nobody answers.
        group.update({"session.timeout.ms": 6000, "heartbeat.interval.ms": 1500})
        group.update(debugging())
        producer = Producer({**common, "transactional.id": settings["id"], "transaction.timeout.ms": 15_000})
        self.consumer = Consumer({**common, **group})
        try:
            producer.init_transactions(20)
            self.consumer.subscribe([settings["topic"]])
            while not role.finish.is_set():
                self.moved_at = time.monotonic()
                copy_once(role, producer, self.consumer)
        except KafkaException as error:
            role.say(f"note begins anew: {error}")
        except RuntimeError as error:
            # Its consumer was closed by the next one.
            role.say(f"note a former life ends: {error}")
            return
        self.consumer.close()


def copy_once(role, producer, consumer):
    """One transaction, with what one poll brings and the offsets behind it."""
    from confluent_kafka import KafkaException, TopicPartition

    messages = [message for message in consumer.consume(500, timeout=0.1) if message.error() is None]
    if not messages:
        return
    try:
        producer.begin_transaction()
        for message in messages:
            producer.produce(role.settings["to"], message.value(), partition=message.partition())
        following = {message.partition(): message.offset() + 1 for message in messages}
        places = [TopicPartition(role.settings["topic"], partition, offset) for partition, offset in following.items()]
        producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata(), 30)
        producer.commit_transaction(30)
        role.say(f"copied {len(messages)}")
    except KafkaException as error:
        # librdkafka says that some calls may be repeated, and may then wait for ever: a new producer finds out what became of them.
        if not error.args[0].txn_requires_abort():
            raise
        role.say(f"note aborts: {error}")
        producer.abort_transaction(30)
        for place in consumer.committed(consumer.assignment(), timeout=30):
            consumer.seek(TopicPartition(place.topic, place.partition, max(place.offset, 0)))


def kafka_python_produce(role):
    """kafka-python, idempotent by default."""
    from kafka import KafkaProducer

    settings = role.settings
    producer = KafkaProducer(bootstrap_servers=settings["bootstrap"].split(","), client_id=role.name)
    role.say("ready")
    for partition, number, value in role.numbered():
        future = producer.send(settings["topic"], value, partition=partition)
        future.add_callback(lambda place, number=number: role.say(f"ack {place.partition} {place.offset} {number}"))
        future.add_errback(lambda error, value=value: role.say(f"failed {value.decode()}: {error!r}"))
    producer.flush()
    producer.close()


def kafka_python_consume(role):
    """kafka-python in a group of the classic protocol."""
    from kafka import ConsumerRebalanceListener, KafkaConsumer
    from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    from kafka.errors import KafkaConnectionError

    settings = role.settings
    optional = {"instance": "group_instance_id", "rack": "client_rack"}
    client = {name: settings[key] for key, name in optional.items() if key in settings}
    if "assignor" in settings:
        client["partition_assignment_strategy"] = [{"range": RangePartitionAssignor, "cooperative": CooperativeStickyAssignor}[settings["assignor"]]]
    consumer = KafkaConsumer(
        bootstrap_servers=settings["bootstrap"].split(","),
        client_id=role.name,
        group_id=settings["group"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **client,
    )

    class Ownership(ConsumerRebalanceListener):
        """Says what the client is given and what is taken away."""

        def on_partitions_assigned(self, assigned):
            generation = consumer._coordinator._generation.generation_id
            role.owns(generation, {place.partition for place in consumer.assignment()})

        def on_partitions_revoked(self, revoked):
            if revoked:
                role.say(f"revoked {listed(place.partition for place in revoked)}")

        def on_partitions_lost(self, lost):
            if lost:
                role.say(f"lost {listed(place.partition for place in lost)}")

    consumer.subscribe([settings["topic"]], listener=Ownership())
    role.say("ready")
    while not role.finish.is_set():
        # Long enough for a join and its sync: a poll that ends between the two loses the assignment (../python/findings.md).
        try:
            polled = consumer.poll(timeout_ms=2000)
        except KafkaConnectionError as error:
            # While it looks for the coordinator, a failure of the metadata request beside that gets out (../python/findings.md).
            role.say(f"note poll: {error!r}")
            continue
        role.say(*(f"got {r.partition} {r.offset} {r.value.decode()}" for records in polled.values() for r in records))
        if polled:
            consumer.commit_async(callback=lambda _offsets, answer: answer is None or isinstance(answer, Exception) and role.say(f"note commit: {answer!r}"))
    commit_last(role, consumer.commit)
    consumer.close(autocommit=False)


def commit_last(role, commit):
    """A group that is being rebalanced, or whose coordinator moves, takes the last commit a little later."""
    for attempt in range(20):
        try:
            return commit()
        except Exception as error:
            # librdkafka calls it an error when all is committed already.
            if "NO_OFFSET" in str(error) or "No offset stored" in str(error):
                return None
            role.say(f"note last commit, attempt {attempt}: {error!r}".replace("\n", " "))
            last = error
            time.sleep(0.2)
    raise last


WORK = {
    ("produce", "confluent"): confluent_produce,
    ("consume", "confluent"): confluent_consume,
    ("copy", "confluent"): confluent_copy,
    ("produce", "kafka-python"): kafka_python_produce,
    ("consume", "kafka-python"): kafka_python_consume,
}


def main():
    """Starts the roles and obeys stdin."""
    common, ended = {}, queue.Queue()
    for argument in sys.argv[1:]:
        kind, *pairs = argument.split(",")
        if kind not in ("produce", "consume", "copy"):
            key, _, value = argument.partition("=")
            common[key] = value
            continue
        role = Role({**common, **dict(pair.split("=", 1) for pair in pairs)})
        work = WORK[kind, role.settings.get("client", "confluent")]
        threading.Thread(target=role.run, args=(work,), name=role.name, daemon=True).start()
    threading.Thread(target=obey, args=(ended,), daemon=True).start()
    ended.get()
    os._exit(0)


def obey(ended):
    """Reads commands until stdin ends."""
    for line in sys.stdin:
        FINISH[line.removeprefix("finish ").strip()].set()
    ended.put(None)


if __name__ == "__main__":
    main()
