"""One stock librdkafka client in a process of its own: librdkafka_worker.py KIND JSON, prints one line of JSON.

KIND is produce, consume, flushes, transactions, paced-produce or paced-consume; the JSON object holds the arguments of the function below.
The paced kinds send and read at a fixed rate: each record carries the time at which it was due on the machine's
monotonic clock, which all processes share, so a producer that falls behind counts as latency.

Invariants: a record that is not delivered, or not read before the deadline, is an error and no result.
"""

import json
import os
import struct
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

RECORD_BYTES = 1024
DUE = struct.Struct(">qq")
QUANTILES = [0, 1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99, 99.5, 99.9, 100]


def spread(latencies_ns):
    """Quantiles in milliseconds by their names."""
    ordered = sorted(latencies_ns)
    if not ordered:
        raise RuntimeError("no record was measured")
    at = lambda share: ordered[min(len(ordered) - 1, int(share / 100 * len(ordered)))]
    return {f"p{share:g}": round(at(share) / 1e6, 3) for share in QUANTILES}


class Deliveries:
    """Counts the delivery reports of one producer."""

    def __init__(self):
        self.delivered, self.failed = 0, None

    def __call__(self, error, _message):
        if error is not None:
            self.failed = error
        else:
            self.delivered += 1


def produce(bootstrap, topic, records, partitions, settings):
    """Produces as fast as the client can; returns records, seconds and bytes per second of record values."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", **settings})
    value, deliveries = os.urandom(RECORD_BYTES), Deliveries()
    # Metadata and producer id are there before the clock starts, as in a program that runs: one record fetches them.
    producer.produce(topic, value, partition=0, on_delivery=deliveries)
    producer.flush(20)
    begun = time.monotonic()
    for number in range(records):
        while True:
            try:
                producer.produce(topic, value, partition=number // 64 % partitions, on_delivery=deliveries)
                break
            except BufferError:
                producer.poll(0.05)
        if number % 512 == 0:
            producer.poll(0)
    left = producer.flush(120)
    seconds = time.monotonic() - begun
    if left or deliveries.failed or deliveries.delivered != records + 1:
        raise RuntimeError(f"{records + 1 - deliveries.delivered} records were not delivered: {deliveries.failed}")
    return {"records": records, "seconds": seconds, "bytes_per_second": records * RECORD_BYTES / seconds}


def consumer_at(bootstrap, topic, partitions, offset, settings):
    """A consumer of all partitions without a group's rebalance."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False, **settings})
    consumer.assign([TopicPartition(topic, partition, offset) for partition in range(partitions)])
    return consumer


def consume(bootstrap, topic, records, partitions, settings, deadline_seconds=120):
    """Reads `records` records from the beginning; returns records, seconds and bytes per second of record values."""
    begun = time.monotonic()
    consumer = consumer_at(bootstrap, topic, partitions, 0, settings)
    read, size, deadline = 0, 0, begun + deadline_seconds
    while read < records:
        messages = consumer.consume(10_000, timeout=0.1)
        for message in messages:
            if message.error():
                raise RuntimeError(message.error())
            size += len(message.value())
        read += len(messages)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{read} of {records} records read")
    seconds = time.monotonic() - begun
    consumer.close()
    return {"records": read, "seconds": seconds, "bytes_per_second": size / seconds}


class Turns:
    """The latencies of a paced load, whole or in turns of a state each.

    What is due in the first `settle_seconds` of a turn is of no turn: the state before it may still be at work.
    """

    def __init__(self, rate, warmup_seconds, turns):
        self.rate, self.warmup = rate, int(rate * warmup_seconds)
        self.turns, self.latencies, self.of_turns = turns, [], {}

    def add(self, number, latency):
        """Takes the latency of the record with this number."""
        since = number - self.warmup
        if since < 0:
            return
        self.latencies.append(latency)
        if self.turns:
            turn, at = divmod(since / self.rate, self.turns["seconds"])
            if at >= self.turns["settle_seconds"]:
                self.of_turns.setdefault(int(turn), []).append(latency)

    def result(self):
        """The spread of all and, with turns, that of each state and of each of its turns."""
        found = {"records": len(self.latencies), "latency_ms": spread(self.latencies)}
        if self.turns:
            states = self.turns["states"]
            of_state = {state: [turn for turn in self.of_turns if states[turn % len(states)] == state] for state in states}
            found["states"] = {
                state: {
                    "latency_ms": spread([latency for turn in turns for latency in self.of_turns[turn]]),
                    "turns": {turn: spread(self.of_turns[turn]) for turn in sorted(turns)},
                }
                for state, turns in of_state.items()
            }
        return found


def paced_produce(bootstrap, topic, partitions, bytes_per_second, seconds, warmup_seconds, settings, turns=None, begin_at_ns=None):
    """Produces at a fixed rate; returns the spread of the time from due to delivery report."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", **settings})
    producer.list_topics(topic, timeout=20)
    rate = bytes_per_second / RECORD_BYTES
    records = int(rate * (seconds + warmup_seconds))
    padding, latencies, failures = os.urandom(RECORD_BYTES - DUE.size), Turns(rate, warmup_seconds, turns), []

    def report(number, due):
        def delivered(error, _message):
            if error is not None:
                failures.append(str(error))
            else:
                latencies.add(number, time.monotonic_ns() - due)

        return delivered

    begun, number = begin_at_ns or time.monotonic_ns() + 10_000_000, 0
    while number < records:
        due = begun + int(number / rate * 1e9)
        late = time.monotonic_ns() - due
        if late < 0:
            # Not `poll` with a time-out, which waits in whole milliseconds, so that it would keep a processor busy here.
            producer.poll(0)
            time.sleep(-late / 1e9)
            continue
        try:
            producer.produce(topic, DUE.pack(number, due) + padding, partition=number % partitions, on_delivery=report(number, due))
            number += 1
        except BufferError:
            producer.poll(0.001)
    took = (time.monotonic_ns() - begun) / 1e9
    if producer.flush(60) or failures:
        raise RuntimeError(f"not delivered: {failures[:1]}")
    return {**latencies.result(), "bytes_per_second": records * RECORD_BYTES / took}


def paced_consume(bootstrap, topic, partitions, bytes_per_second, seconds, warmup_seconds, settings, turns=None):
    """Reads what paced_produce sends to an empty topic; returns the spread of the time from due to read."""
    rate = bytes_per_second / RECORD_BYTES
    records, latencies = int(rate * (seconds + warmup_seconds)), Turns(rate, warmup_seconds, turns)
    consumer = consumer_at(bootstrap, topic, partitions, 0, settings)
    print("ready", file=sys.stderr, flush=True)
    read, deadline = 0, time.monotonic() + seconds + warmup_seconds + 60
    while read < records:
        message = consumer.poll(0.5)
        if message is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{read} of {records} records read")
            continue
        if message.error():
            raise RuntimeError(message.error())
        now = time.monotonic_ns()
        number, due = DUE.unpack_from(message.value())
        read += 1
        latencies.add(number, now - due)
    consumer.close()
    return latencies.result()


def flushes(bootstrap, topic, flush_bytes, flushes):
    """Sends `flushes` times `flush_bytes` at once, in batches of 960 KiB, and waits for the delivery each time."""
    settings = {"linger.ms": 0 if flush_bytes <= RECORD_BYTES else 50, "batch.num.messages": 960}
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", **settings})
    producer.list_topics(topic, timeout=20)
    for _ in range(flushes):
        deliveries, records = Deliveries(), max(1, flush_bytes // RECORD_BYTES)
        for _ in range(records):
            producer.produce(topic, os.urandom(RECORD_BYTES), partition=0, on_delivery=deliveries)
        producer.flush(60)
        if deliveries.delivered != records:
            raise RuntimeError(f"not delivered: {deliveries.failed}")
        time.sleep(0.1)
    return {"flushes": flushes}


def transactions(bootstrap, topic, records, partitions):
    """Runs `records` transactions of a record for each partition; returns the spreads of commits and of whole transactions."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"bench-{topic}-{os.getpid()}", "linger.ms": 0})
    producer.init_transactions(30)
    value, warmup = os.urandom(RECORD_BYTES), max(10, records // 10)
    commits, wholes = [], []
    for number in range(records + warmup):
        begun, deliveries = time.monotonic_ns(), Deliveries()
        producer.begin_transaction()
        for partition in range(partitions):
            producer.produce(topic, value, partition=partition, on_delivery=deliveries)
        producer.flush(60)
        if deliveries.delivered != partitions:
            raise RuntimeError(f"not delivered: {deliveries.failed}")
        ending = time.monotonic_ns()
        producer.commit_transaction(60)
        ended = time.monotonic_ns()
        if number >= warmup:
            commits.append(ended - ending)
            wholes.append(ended - begun)
    return {"records": records, "commit_ms": spread(commits), "whole_ms": spread(wholes)}


KINDS = {"transactions": transactions, "flushes": flushes, "produce": produce, "consume": consume, "paced-produce": paced_produce, "paced-consume": paced_consume}

if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](**json.loads(sys.argv[2]))))
