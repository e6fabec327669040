"""Other people's clients, as the bench starts them: Kafka's own performance tools, librdkafka and franz-go.

Invariants
1. Every target gets the same commands with the same settings; only the address differs.
2. A client that fails or says nothing of use raises ClientFailed with the end of its output.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
KAFKA_SUPPORT = HERE.parent / "tests/support/kafka"
RECORD_BYTES = 1024
# What the scripts that come with Kafka give to their tools.
JAVA_OPTIONS = ["-server", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Djava.awt.headless=true"]
UNTUNED: dict = {}
TUNED = {"batch.size": "262144", "linger.ms": "10"}
TUNED_LIBRDKAFKA = {"batch.size": 1_000_000, "linger.ms": 10, "queue.buffering.max.kbytes": 262_144}
IDEMPOTENT = {"enable.idempotence": True}
# A client that stands for another machine goes behind everything here, so that what is measured is what the server does for it. On Linux
# it runs when nothing else wants the processor; a nice one would keep it until the next tick of the clock.
BEHIND = ("chrt", "--idle", "0") if hasattr(os, "SCHED_IDLE") else ("nice", "-n", "19")
# By then both processes of a paced load are connected.
PACED_BEGINS_AFTER_NS = 2_000_000_000

_JAVA_RESULT = re.compile(
    r"(\d+) (?:steady state )?records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency, ([\d.]+) ms max latency, "
    r"(\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th, (\d+) ms 99.9th"
)


class ClientFailed(Exception):
    """A stock client did not do what it was asked to."""


def _tail(text):
    return " | ".join(text.strip().splitlines()[-4:])[-600:]


class JavaTools:
    """kafka-producer-perf-test and kafka-consumer-perf-test."""

    def __init__(self):
        self.classpath = subprocess.run(
            [KAFKA_SUPPORT, "classpath"], check=True, capture_output=True, text=True
        ).stdout.strip()
        self.log_options = f"-Dlog4j2.configurationFile={HERE.parent / 'tests/support/kafka-pom/log4j2.properties'}"
        self.java = str(Path(os.environ["JAVA_HOME"]) / "bin/java") if os.environ.get("JAVA_HOME") else "java"

    def _run(self, class_name, arguments, timeout_s):
        command = [self.java, *JAVA_OPTIONS, self.log_options, "-cp", self.classpath, class_name, *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise ClientFailed(f"{class_name}: not within {timeout_s} s: {_tail((error.stdout or b'').decode())}") from error
        if done.returncode != 0:
            raise ClientFailed(f"{class_name}: {_tail(done.stdout + done.stderr)}")
        return done.stdout + done.stderr

    def produce(self, port, topic, records, settings, throughput=-1, timeout_s=180):
        """Records, bytes per second and the tool's own latencies, without the first tenth, in which a JVM compiles."""
        warmup = records // 10
        properties = {"acks": "all", **settings}
        arguments = ["--topic", topic, "--num-records", str(records), "--record-size", str(RECORD_BYTES)]
        arguments += ["--warmup-records", str(warmup)]
        arguments += ["--throughput", str(throughput), "--bootstrap-server", f"127.0.0.1:{port}", "--command-property"]
        arguments += [f"{name}={value}" for name, value in properties.items()]
        output = self._run("org.apache.kafka.tools.ProducerPerformance", arguments, timeout_s)
        found = _JAVA_RESULT.findall(output)
        if not found or int(found[-1][0]) != records - warmup:
            raise ClientFailed(f"kafka-producer-perf-test: {_tail(output)}")
        _, rate, _, _, maximum, p50, p95, p99, p999 = found[-1]
        latency = {"p50": int(p50), "p95": int(p95), "p99": int(p99), "p99.9": int(p999), "p100": float(maximum)}
        return {"records": records, "bytes_per_second": float(rate) * RECORD_BYTES, "latency_ms": latency}

    def consume(self, port, topic, records, timeout_s=180):
        """Records and bytes per second, joining the group not counted."""
        arguments = ["--topic", topic, "--num-records", str(records), "--bootstrap-server", f"127.0.0.1:{port}"]
        arguments += ["--timeout", "30000", "--group", f"bench-{time.monotonic_ns()}"]
        output = self._run("org.apache.kafka.tools.ConsumerPerformance", arguments, timeout_s)
        lines = [line.split(", ") for line in output.splitlines()]
        header = next((line for line in lines if line[0] == "start.time"), None)
        row = next((line for line in reversed(lines) if header and len(line) == len(header) and line != header), None)
        if row is None:
            raise ClientFailed(f"kafka-consumer-perf-test: {_tail(output)}")
        values = dict(zip(header, row))
        read = int(values["data.consumed.in.nMsg"])
        if read < records:
            raise ClientFailed(f"kafka-consumer-perf-test: read {read} of {records} records")
        rate = float(values["fetch.nMsg.sec"])
        whole = float(values["nMsg.sec"])
        return {"records": read, "bytes_per_second": rate * RECORD_BYTES, "with_group_bytes_per_second": whole * RECORD_BYTES}


class FranzGo:
    """The program of franz-go/, built into the cache under the digest of its sources. Without Go it is absent."""

    def __init__(self):
        sources = sorted((HERE / "franz-go").glob("*.[gms]o*"))
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
        self.program = Path(os.environ["ALLUVIUM_CACHE"]) / "bench" / f"franz-go-{digest}"
        self.absent = None
        if self.program.exists():
            return
        if shutil.which("go") is None:
            self.absent = "there is no Go toolchain"
            return
        fresh = f"{self.program}.{os.getpid()}"
        build = ["go", "build", "-trimpath", "-buildvcs=false", "-o", fresh, "."]
        subprocess.run(build, cwd=HERE / "franz-go", check=True)
        os.replace(fresh, self.program)

    def run(self, kind, port, topic, records, partitions, timeout_s=180, **more):
        """Records and bytes per second."""
        return _result(self._start(kind, port, topic, records, partitions, **more), f"franz-go {kind}", timeout_s)

    def _start(self, kind, port, topic, records, partitions, behind=(), **more):
        if self.absent:
            raise ClientFailed(f"franz-go: {self.absent}")
        arguments = {"bootstrap": f"127.0.0.1:{port}", "topic": topic, "records": records, "partitions": partitions, **more}
        command = [*behind, self.program, kind, json.dumps(arguments)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @contextmanager
    def replaying(self, port, topic, records, partitions, bytes_per_second, timeout_s=600):
        """Reads a topic again and again at a rate, when and while it is told to (`tell("resume")`, `tell("pause")`).

        What is yielded is `tell` and a dictionary that has the result after the block.
        """
        more = {"bytes_per_second": bytes_per_second, "endless": True, "timeout_seconds": timeout_s}
        client, found = self._start("replay", port, topic, records, partitions, BEHIND, **more), {}

        def tell(word):
            client.stdin.write(f"{word}\n")
            client.stdin.flush()

        try:
            yield tell, found
            # Closing its stdin, which `communicate` does, tells it to stop.
            found |= _result(client, "franz-go replay", 60)
        finally:
            if client.poll() is None:
                client.kill()
                client.communicate()


def _worker(kind, arguments):
    command = [sys.executable, str(HERE / "librdkafka_worker.py"), kind, json.dumps(arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _result(worker, what, timeout_s):
    try:
        out, err = worker.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        worker.kill()
        worker.communicate()
        raise ClientFailed(f"{what}: not within {timeout_s:g} s") from error
    if worker.returncode != 0:
        raise ClientFailed(f"{what}: {_tail(err)}")
    return json.loads(out)


def librdkafka(kind, port, topic, timeout_s=180, **arguments):
    """One worker of librdkafka_worker.py, waited for."""
    return _result(_worker(kind, {"bootstrap": f"127.0.0.1:{port}", "topic": topic, **arguments}), f"librdkafka {kind}", timeout_s)


def librdkafka_paced(port, topic, partitions, bytes_per_second, seconds, warmup_seconds, turns=None, enter=None):
    """A producer and a consumer at a fixed rate, each in its process; what each measured.

    With `turns` (`states`, `seconds`, `settle_seconds`), `enter` is called with the state of each turn when it begins.
    """
    shared = {"bootstrap": f"127.0.0.1:{port}", "topic": topic, "partitions": partitions, "turns": turns}
    shared |= {"bytes_per_second": bytes_per_second, "seconds": seconds, "warmup_seconds": warmup_seconds}
    consumer = _worker("paced-consume", {**shared, "settings": {}})
    if consumer.stderr.readline().strip() != "ready":
        return _result(consumer, "librdkafka paced-consume", 1)
    begin_at_ns = time.monotonic_ns() + PACED_BEGINS_AFTER_NS
    producer = _worker("paced-produce", {**shared, "settings": IDEMPOTENT, "begin_at_ns": begin_at_ns})
    try:
        for turn in range(int(seconds / turns["seconds"]) if turns else 0):
            due = begin_at_ns / 1e9 + warmup_seconds + turn * turns["seconds"]
            time.sleep(max(0.0, due - time.monotonic()))
            if producer.poll() is not None:
                break
            enter(turns["states"][turn % len(turns["states"])])
        produced = _result(producer, "librdkafka paced-produce", seconds + warmup_seconds + 90)
    except BaseException:
        for worker in (producer, consumer):
            worker.kill()
            worker.communicate()
        raise
    return {"produce": produced, "end_to_end": _result(consumer, "librdkafka paced-consume", 90)}
