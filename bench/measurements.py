"""What is measured on each target, one function per kind. Each yields samples through Run.sample.

Invariants
1. A measurement uses topics of its own, named after it and the round.
2. Each sample says how much of the machine others used meanwhile (`others_cpus`) and the load.
3. A measurement that fails is recorded as failed with its reason; the next one runs.
"""

import resource
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import stock_clients
import wire
from confluent_kafka.admin import AdminClient, NewTopic
from machine import busy_ticks, load, process_cpu_seconds
from stock_clients import IDEMPOTENT, TUNED, TUNED_LIBRDKAFKA, UNTUNED, librdkafka, librdkafka_paced

MIB = 1 << 20
RECORD_BYTES = stock_clients.RECORD_BYTES
PARTITIONS_MANY = 6
PACED_BYTES_PER_SECOND = 5 * MIB
LARGE_FLUSH_BYTES = 8 * 960 * 1024
RESTART_DEADLINE_S = 120.0


class Meter:
    """Time, processor seconds of the server, and what others used of the machine while a block ran."""

    def __init__(self, target):
        self.target = target

    def _own(self):
        children, own = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
        total = children.ru_utime + children.ru_stime + own.ru_utime + own.ru_stime
        store = process_cpu_seconds(self.target.minio_pid) if getattr(self.target, "minio_pid", None) else 0.0
        return total + store

    def __enter__(self):
        self.own, self.server, self.busy = self._own(), self.target.cpu_seconds() or 0.0, busy_ticks()
        self.begun = time.monotonic()
        return self

    def __exit__(self, *_exception):
        self.seconds = time.monotonic() - self.begun
        self.server_cpu_seconds = (self.target.cpu_seconds() or 0.0) - self.server
        everything = (busy_ticks() - self.busy) / 100
        self.others_cpus = max(0.0, everything - self.server_cpu_seconds - (self._own() - self.own)) / max(self.seconds, 0.01)


class Run:
    """One round on one target: the target, the sizes asked for, and where the samples go."""

    def __init__(self, target, round_number, sizes, clients, samples):
        self.target, self.round, self.sizes, self.samples = target, round_number, sizes, samples
        self.java, self.franz = clients
        self.topics: dict = {}
        self.others_cpus = 0.0

    def measured(self, work):
        """Runs `work()` and returns what it returned with what it cost."""
        with Meter(self.target) as meter:
            result = work()
        self.others_cpus = meter.others_cpus
        return result, meter

    def sample(self, kind, case, value, unit, **more):
        """Records one number and shows it."""
        entry = {"kind": kind, "case": case, "target": self.target.name, "round": self.round}
        entry |= {"value": round(value, 4), "unit": unit, "load": load(), "others_cpus": round(self.others_cpus, 2), **more}
        self.samples.append(entry)
        print(f"  {kind:<12} {case:<34} {value:>10.2f} {unit}  (others {self.others_cpus:.1f} cpus)", file=sys.stderr)

    def failed(self, kind, case, error):
        """Records that there is no number and why."""
        reason = f"{type(error).__name__}: {error}"[:400]
        self.samples.append({"kind": kind, "case": case, "target": self.target.name, "round": self.round, "failed": reason})
        print(f"  {kind:<12} {case:<34} FAILED {reason}", file=sys.stderr)

    def topic(self, name, partitions):
        """Makes a topic of this round and waits until the server knows it."""
        name = f"{name}-{self.round}"
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{self.target.port}"})
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
        wire.wait_until(lambda: wire.end_offset(self.target.port, name, partitions - 1) is not None, 30, 0.01)
        return name


class ProduceCase(NamedTuple):
    """A client to run, and which share of the records it gets: those that wait for each round trip get fewer."""

    name: str
    partitions: int
    client: Callable
    share: float
    share_on_model: float


def produce_cases():
    """All cases of measure_produce."""
    def java(settings):
        return lambda run, topic, records, partitions: run.java.produce(run.target.port, topic, records, settings)

    def native(settings):
        return lambda run, topic, records, partitions: librdkafka(
            "produce", run.target.port, topic, records=records, partitions=partitions, settings=IDEMPOTENT | settings
        )

    def franz(run, topic, records, partitions):
        return run.franz.run("produce", run.target.port, topic, records, partitions)

    many = PARTITIONS_MANY
    return [
        ProduceCase("java untuned, 1 partition", 1, java(UNTUNED), 0.4, 0.03),
        ProduceCase("java tuned, 1 partition", 1, java(TUNED), 1, 0.25),
        ProduceCase("librdkafka untuned, 1 partition", 1, native({}), 1, 0.25),
        ProduceCase("franz-go untuned, 1 partition", 1, franz, 1, 0.5),
        ProduceCase(f"java untuned, {many} partitions", many, java(UNTUNED), 0.5, 0.1),
        ProduceCase(f"java tuned, {many} partitions", many, java(TUNED), 1, 1),
        ProduceCase(f"librdkafka tuned, {many} partitions", many, native(TUNED_LIBRDKAFKA), 1, 0.5),
    ]


QUICK_PRODUCE = (
    "java untuned, 1 partition",
    f"java tuned, {PARTITIONS_MANY} partitions",
    "librdkafka untuned, 1 partition",
    "franz-go untuned, 1 partition",
)


def warm_up(run):
    """The first records are not measured: a JVM compiles, a file system allocates."""
    topic = run.topic("warm-up", PARTITIONS_MANY)
    librdkafka("produce", run.target.port, topic, records=run.sizes.warmup_records, partitions=PARTITIONS_MANY, settings=IDEMPOTENT)
    librdkafka("consume", run.target.port, topic, records=run.sizes.warmup_records, partitions=PARTITIONS_MANY, settings={})


def measure_produce(run):
    """Throughput of one producer, acks=all."""
    for case in produce_cases():
        if run.sizes.quick and case.name not in QUICK_PRODUCE:
            continue
        share = case.share_on_model if run.target.name == "s3-model" else case.share
        records = int(run.sizes.records * share)
        try:
            topic = run.topic(case.name.replace(" ", "-").replace(",", ""), case.partitions)
            result, meter = run.measured(lambda: case.client(run, topic, records, case.partitions))
        except Exception as error:
            run.failed("produce", case.name, error)
            continue
        run.topics[case.name] = (topic, case.partitions, records)
        _throughput(run, "produce", case.name, result, meter)


def _throughput(run, kind, case, result, meter):
    cost = meter.server_cpu_seconds / (result["records"] * RECORD_BYTES / 2**30)
    more = {"latency_ms": result["latency_ms"]} if "latency_ms" in result else {}
    run.sample(kind, case, result["bytes_per_second"] / MIB, "MiB/s", server_cpu_seconds_per_gib=round(cost, 2), **more)


def measure_consume(run, kind="consume"):
    """Throughput of one consumer from the first record on, of what measure_produce left."""
    if not run.topics:
        _fill(run)
    for partitions in (PARTITIONS_MANY,) if run.sizes.quick else (1, PARTITIONS_MANY):
        produced = [value for value in run.topics.values() if value[1] == partitions]
        if not produced:
            continue
        topic, _, records = max(produced, key=lambda value: value[2])
        name = f"{partitions} partition{'s' if partitions > 1 else ''}"
        port = run.target.port
        clients = [
            (f"java, {name}", lambda: run.java.consume(port, topic, records)),
            (f"franz-go, {name}", lambda: run.franz.run("consume", port, topic, records, partitions)),
            (f"librdkafka, {name}", lambda: librdkafka("consume", port, topic, records=records, partitions=partitions, settings={})),
        ]
        for case, client in clients:
            try:
                result, meter = run.measured(client)
                _throughput(run, kind, case, result, meter)
            except Exception as error:
                run.failed(kind, case, error)


def _fill(run):
    for partitions in (1, PARTITIONS_MANY):
        topic = run.topic(f"filled-{partitions}", partitions)
        settings = IDEMPOTENT | TUNED_LIBRDKAFKA
        librdkafka("produce", run.target.port, topic, records=run.sizes.records, partitions=partitions, settings=settings)
        run.topics[f"filled {partitions}"] = (topic, partitions, run.sizes.records)


def measure_latency(run):
    """Produce and end-to-end latency at a fixed rate, from when a record was due."""
    for partitions in (1,) if run.sizes.quick else (1, PARTITIONS_MANY):
        case = f"5 MiB/s, {partitions} partition{'s' if partitions > 1 else ''}"
        try:
            topic = run.topic(f"paced-{partitions}", partitions)
            work = lambda: librdkafka_paced(
                run.target.port, topic, partitions, PACED_BYTES_PER_SECOND, run.sizes.paced_seconds, run.sizes.paced_warmup_seconds
            )
            result, meter = run.measured(work)
        except Exception as error:
            run.failed("latency", case, error)
            continue
        cpu = round(meter.server_cpu_seconds / meter.seconds, 3)
        for what in ("produce", "end_to_end"):
            quantiles = result[what]["latency_ms"]
            for quantile in ("p50", "p99"):
                name = f"{what.replace('_', ' ')} {quantile}, {case}"
                run.sample("latency", name, quantiles[quantile], "ms", latency_ms=quantiles, server_cpus=cpu)


def measure_footprint(run):
    """Memory without work, and the time from starting the process to serving."""
    time.sleep(run.sizes.idle_seconds)
    run.others_cpus = 0.0
    run.sample("footprint", "idle memory", run.target.rss_mib(), "MiB")
    starts = [run.target.start_seconds]
    for _ in range(run.sizes.starts - 1):
        run.target.stop()
        run.target.start()
        starts.append(run.target.start_seconds)
    starts.sort()
    run.sample("footprint", "start to serving", starts[len(starts) // 2] * 1000, "ms", all_ms=[round(s * 1000, 1) for s in starts])


def measure_memory_after_load(run):
    """Memory of a server that has worked, when all clients are gone."""
    time.sleep(run.sizes.idle_seconds)
    run.sample("footprint", "memory after the load", run.target.rss_mib(), "MiB")


def measure_restart(run):
    """Ends and starts the server with the data that is in it; until the end of a partition is told again."""
    if not run.target.keeps_data:
        return
    if not run.topics:
        _fill(run)
    topic, partitions, _ = max(run.topics.values(), key=lambda value: value[2])
    expected = wire.end_offset(run.target.port, topic, partitions - 1)
    stored = sum(records for _, _, records in run.topics.values()) * RECORD_BYTES / MIB
    for case, kill in (("after SIGTERM", False), ("after SIGKILL", True)):
        if run.sizes.quick and not kill:
            continue
        try:
            begun = time.monotonic()
            run.target.stop(kill=kill)
            stopped = time.monotonic()
            run.target.start()
            # `start` waits until ApiVersions is answered; the data may come later.
            more = wire.wait_until(
                lambda: wire.end_offset(run.target.port, topic, partitions - 1) == expected, RESTART_DEADLINE_S, 0.002
            )
            seconds = run.target.start_seconds + more
            stop_ms = round((stopped - begun) * 1000)
            run.sample("restart", case, seconds * 1000, "ms", stored_mib=round(stored), stop_ms=stop_ms)
        except Exception as error:
            run.failed("restart", case, error)
            return
    if not run.sizes.quick:
        measure_consume(run, kind="consume-cold")


def measure_requests(run):
    """What flushes cost in requests to the store, and that an idle server asks for nothing. Needs a counting target."""
    counter, port = run.target.counter, run.target.port
    topic = run.topic("requests", 1)
    cases = [("small flush", RECORD_BYTES, run.sizes.flushes), ("large flush", LARGE_FLUSH_BYTES, max(5, run.sizes.flushes // 4))]
    for case, size, flushes in cases:
        arguments = {"flush_bytes": size, "flushes": flushes}
        librdkafka("flushes", port, topic, **arguments | {"flushes": 2})
        time.sleep(1)
        counter.take()
        librdkafka("flushes", port, topic, **arguments)
        time.sleep(1)
        counts = counter.take()
        # A burst is cut into flushes as it comes in: each is an entry, or a segment and its share of an entry.
        flushed = max(counts.get("PUT segment", 0), counts.get("PUT entry", 0))
        _requests(run, case, counts, flushed if size > RECORD_BYTES else flushes)
    librdkafka("consume", port, topic, records=run.sizes.flushes, partitions=1, settings={})
    time.sleep(3)
    counter.take()
    time.sleep(run.sizes.idle_requests_seconds)
    counts = counter.take()
    run.sample("requests", f"idle, {run.sizes.idle_requests_seconds} s", sum(counts.values()), "requests", counts=counts)
    run.target.stop()
    counter.take()
    run.target.start()
    counts = counter.take()
    run.sample("requests", "one start", sum(counts.values()), "requests", counts=counts)


def _requests(run, case, counts, flushes):
    puts = sum(count for kind, count in counts.items() if kind.startswith("PUT"))
    entries_and_segments = counts.get("PUT entry", 0) + counts.get("PUT segment", 0)
    run.sample("requests", f"{case}: PUT for data", entries_and_segments / flushes, "per flush", counts=counts, flushes=flushes)
    run.sample("requests", f"{case}: PUT in all", puts / flushes, "per flush")
    run.sample("requests", f"{case}: GET", counts.get("GET", 0) / flushes, "per flush")
    run.sample("requests", f"{case}: LIST", counts.get("LIST", 0) / flushes, "per flush")


MEASUREMENTS = {
    "footprint": measure_footprint,
    "produce": measure_produce,
    "consume": measure_consume,
    "latency": measure_latency,
    "restart": measure_restart,
}
