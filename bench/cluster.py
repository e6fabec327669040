"""bench/cluster: what more nodes, shards, partitions and group members cost. Prints a table and writes JSON.

Nodes: one and three processes on one MinIO, which all share this machine: the ratio says what a cluster costs, not what it gains.
Shards: one node on the S3 model, where the latency of the store and not this machine is the limit.
Partitions and members: one node on a local folder, and on MinIO behind a proxy that counts requests.

Invariants: every process is ended by its id, also when the bench fails; a case that fails is recorded with its reason.
"""

import argparse
import asyncio
import atexit
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import machine
import wire
from confluent_kafka.admin import AdminClient, NewTopic
from group_members import idle_members
from main import ROOT, _version, find_binary
from request_counter import RequestCounter
from targets import ACCESS_KEY, BUCKET, SECRET_KEY, SUPPORT, _clean_environment, free_port

HERE = Path(__file__).resolve().parent
MIB = 1 << 20
KINDS = ["nodes", "shards", "partitions", "members"]
# S3 Standard, us-east-1, dollars for 1,000 requests.
PRICE = {"PUT": 0.005, "LIST": 0.005, "GET": 0.0004, "DELETE": 0.0}


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench/cluster", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--only", metavar="KIND,...", default="", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--partitions", type=int, default=10_000, help="partitions of the case with many")
    parser.add_argument("--members", type=int, default=1_000, help="members of the case with many")
    options = parser.parse_args(arguments)
    options.kinds = [kind for kind in KINDS if not options.only or kind in options.only.split(",")]
    return options


class Node:
    """One `alluvium` process."""

    def __init__(self, binary, folder, arguments, environment):
        self.port, self.folder, self.process = free_port(), folder, None
        self.command = [binary, *arguments, "--listen", f"127.0.0.1:{self.port}"]
        self.environment = environment

    def start(self):
        """Starts it; returns the seconds until it serves."""
        with open(self.folder / f"node-{self.port}.log", "ab") as log:
            begun = time.monotonic()
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment)
        wire.wait_until(lambda: self.process.poll() is not None or wire.serves(self.port), 60)
        if self.process.poll() is not None:
            lines = (self.folder / f"node-{self.port}.log").read_text(errors="replace").splitlines()
            raise RuntimeError(f"a node ended while starting: {' | '.join(lines[-3:])}")
        return time.monotonic() - begun

    def stop(self, kill=False):
        """Ends it."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def cpu(self):
        """Processor seconds so far."""
        return machine.process_cpu_seconds(self.process.pid) or 0.0

    def rss(self):
        """Resident memory in MiB."""
        return machine.process_rss_mib(self.process.pid)


class Minio:
    """MinIO behind a proxy that counts what is asked of it."""

    def __init__(self, folder):
        started = subprocess.run(
            [SUPPORT / "minio", "start", folder / "minio", str(free_port())], check=True, stdout=subprocess.PIPE, text=True
        )
        endpoint, pid = started.stdout.split()
        self.pid = int(pid)
        subprocess.run([SUPPORT / "minio", "bucket", endpoint, BUCKET], check=True)
        self.counter = RequestCounter(int(endpoint.rsplit(":", 1)[1]))
        self.endpoint = f"http://127.0.0.1:{self.counter.port}"

    def close(self):
        """Ends both."""
        self.counter.close()
        subprocess.run([SUPPORT / "minio", "stop", str(self.pid)], check=False)


class Bench:
    """Runs the cases and keeps their numbers."""

    def __init__(self, options):
        self.options, self.samples, self.ends = options, [], []
        self.binary = find_binary()
        self.folder = Path(tempfile.mkdtemp(prefix="cluster-", dir=Path(os.environ["ALLUVIUM_CACHE"]) / "bench"))
        atexit.register(self.end)

    def end(self):
        """Nothing outlives a case."""
        for end in reversed(self.ends):
            end()
        self.ends = []
        for path in self.folder.iterdir() if self.folder.exists() else []:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()

    def sample(self, kind, case, name, value, unit):
        """Records one number and shows it."""
        self.samples.append({"kind": kind, "case": case, "name": name, "value": round(value, 4), "unit": unit, "load": machine.load()})
        print(f"  {kind:<11} {case:<22} {name:<34} {value:>11.3f} {unit}", file=sys.stderr)

    def run(self):
        """All cases asked for."""
        for kind in self.options.kinds:
            for case, work in getattr(self, kind)():
                print(f"{kind}, {case}, load {machine.load()}", file=sys.stderr)
                try:
                    work()
                except Exception as error:
                    reason = f"{type(error).__name__}: {error}"[:400]
                    self.samples.append({"kind": kind, "case": case, "failed": reason})
                    print(f"  {kind:<11} {case:<22} FAILED {reason}", file=sys.stderr)
                finally:
                    self.end()

    def node(self, arguments, **environment):
        """A started node."""
        node = Node(self.binary, self.folder, arguments, _clean_environment(**environment))
        self.ends.append(lambda: node.stop(kill=True))
        node.start_seconds = node.start()
        return node

    def minio(self):
        """A started MinIO and the arguments and variables of nodes on it."""
        minio = Minio(self.folder)
        self.ends.append(minio.close)
        arguments = ["serve", "--store", f"s3://{BUCKET}/bench", "--endpoint", minio.endpoint]
        return minio, arguments, {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": "us-east-1"}

    def topic(self, node, name, partitions):
        """A new topic that every node can be asked about."""
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{node.port}"})
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(60)
        return name

    def worker(self, kind, **arguments):
        """A librdkafka client in a process of its own, started."""
        return subprocess.Popen(
            [sys.executable, HERE / "librdkafka_worker.py", kind, json.dumps(arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def results(self, workers, deadline_s=180):
        """What the workers printed."""
        found = []
        for worker in workers:
            out, err = worker.communicate(timeout=deadline_s)
            if worker.returncode != 0:
                raise RuntimeError(err.strip().splitlines()[-1] if err.strip() else "a client failed")
            found.append(json.loads(out))
        return found

    # One and three nodes.

    def nodes(self):
        """The same load on one and on three nodes."""
        return [(f"{count} node{'s' if count > 1 else ''}", lambda count=count: self.one_cluster(count)) for count in (1, 3)]

    def one_cluster(self, count):
        """Throughput, latency and requests of a cluster on MinIO."""
        case = f"{count} node{'s' if count > 1 else ''}"
        minio, arguments, variables = self.minio()
        nodes = [self.node([*arguments, "--node-id", str(index + 1)], **variables) for index in range(count)]
        bootstrap = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        wire.wait_until(lambda: len(AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).brokers) == count, 30, 0.1)
        topic, records = self.topic(nodes[0], "load", 12), 20_000 if self.options.quick else 100_000
        settings = {"enable.idempotence": True}
        begun, cpu = time.monotonic(), sum(node.cpu() for node in nodes)
        minio.counter.take()
        produced = self.results(
            [self.worker("produce", bootstrap=bootstrap, topic=topic, records=records, partitions=12, settings=settings) for _ in range(3)]
        )
        seconds, counted = time.monotonic() - begun, minio.counter.take()
        total = sum(result["records"] for result in produced) / MIB * 1024
        self.sample("nodes", case, "produce, 3 librdkafka", sum(result["bytes_per_second"] for result in produced) / MIB, "MiB/s")
        self.sample("nodes", case, "processor, all nodes", (sum(node.cpu() for node in nodes) - cpu) / seconds, "cpus")
        self.sample("nodes", case, "cost of requests", dollars(counted) / max(total / 1024, 1e-9), "$/GiB produced")
        consumed = self.results([self.worker("consume", bootstrap=bootstrap, topic=topic, records=3 * records, partitions=12, settings={})])
        self.sample("nodes", case, "consume, 1 librdkafka", consumed[0]["bytes_per_second"] / MIB, "MiB/s")
        self.latency(case, nodes, bootstrap)
        self.idle(case, minio, bootstrap, topic)

    def latency(self, case, nodes, bootstrap):
        """p50 and p99 at 2 MiB/s, from due to acknowledged and to read."""
        topic = self.topic(nodes[0], "paced", 6)
        pace = {"bytes_per_second": 2 * MIB, "seconds": 5 if self.options.quick else 15, "warmup_seconds": 3, "partitions": 6}
        consumer = self.worker("paced-consume", bootstrap=bootstrap, topic=topic, settings={"fetch.wait.max.ms": 100}, **pace)
        consumer.stderr.readline()
        producer = self.worker("paced-produce", bootstrap=bootstrap, topic=topic, settings={"enable.idempotence": True}, **pace)
        produced, consumed = self.results([producer, consumer])
        for name, result in (("acknowledged", produced), ("read", consumed)):
            for quantile in ("p50", "p99"):
                self.sample("nodes", case, f"{name} {quantile} at 2 MiB/s", result["latency_ms"][quantile], "ms")

    def idle(self, case, minio, bootstrap, topic):
        """Requests of a cluster that only has a consumer waiting."""
        seconds, waiting = 15 if self.options.quick else 60, threading.Event()
        reader = threading.Thread(target=wait_for_records, args=(bootstrap, topic, waiting))
        reader.start()
        time.sleep(5)
        minio.counter.take()
        time.sleep(seconds)
        counted = minio.counter.take()
        waiting.set()
        reader.join()
        for kind in ("PUT", "LIST", "GET"):
            self.sample("nodes", case, f"{kind} a minute, idle", totals(counted)[kind] * 60 / seconds, "requests")
        self.sample("nodes", case, "cost of being there", dollars(counted) * 30 * 86_400 / seconds, "$/month")

    # Shards on the S3 model.

    def shards(self):
        """The same load over 1, 2, 4 and 8 shards."""
        return [(f"{count} shards", lambda count=count: self.one_sharding(count)) for count in (1, 2, 4, 8)]

    def one_sharding(self, count):
        """Throughput of producers that each wait for their answers, on a store whose latency is the limit."""
        case = f"{count} shards"
        node = self.node(["serve", "--store", "model+memory://", "--shards", str(count), "--peer-listen", "none"])
        bootstrap, records = f"127.0.0.1:{node.port}", 6_000 if self.options.quick else 20_000
        topic, settings = self.topic(node, "load", 32), {"enable.idempotence": True, "batch.size": 65_536}
        cpu, begun = node.cpu(), time.monotonic()
        produced = self.results(
            [self.worker("produce", bootstrap=bootstrap, topic=topic, records=records, partitions=32, settings=settings) for _ in range(4)]
        )
        self.sample("shards", case, "produce, 4 librdkafka, 32 partitions", sum(result["bytes_per_second"] for result in produced) / MIB, "MiB/s")
        self.sample("shards", case, "processor", (node.cpu() - cpu) / (time.monotonic() - begun), "cpus")

    # Many partitions.

    def partitions(self):
        """One node with very many partitions."""
        return [(f"{self.options.partitions} partitions", self.many_partitions)]

    def many_partitions(self):
        """Memory, time of a Metadata request and of a cold start."""
        case, arguments = f"{self.options.partitions} partitions", ["dev", "--data", str(self.folder / "data")]
        node = self.node(arguments)
        empty = node.rss()
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{node.port}"})
        topics = [NewTopic(f"topic-{index:04}", 100, 1) for index in range(self.options.partitions // 100)]
        begun = time.monotonic()
        for first in range(0, len(topics), 20):
            for created in admin.create_topics(topics[first : first + 20], request_timeout=60).values():
                created.result(60)
        self.sample("partitions", case, "creating them", time.monotonic() - begun, "s")
        self.results(
            [self.worker("produce", bootstrap=f"127.0.0.1:{node.port}", topic="topic-0000", records=20_000, partitions=100, settings={})]
        )
        self.sample("partitions", case, "memory above an empty node", node.rss() - empty, "MiB")
        wire.metadata_seconds(node.port)
        times = sorted(wire.metadata_seconds(node.port) for _ in range(20))
        self.sample("partitions", case, "Metadata of all, median of 20", times[10] * 1000, "ms")
        node.stop()
        again = self.node(arguments)
        self.sample("partitions", case, "cold start", again.start_seconds * 1000, "ms")
        self.sample("partitions", case, "memory after a cold start", again.rss() - empty, "MiB")

    # Many members.

    def members(self):
        """One node with very many members of groups that do nothing."""
        return [(f"{self.options.members} members", self.many_members)]

    def many_members(self):
        """Processor and requests while all they do is heartbeat every 3 s."""
        case = f"{self.options.members} members"
        minio, arguments, variables = self.minio()
        node = self.node(arguments, **variables)
        topic, seconds = self.topic(node, "watched", 100), 15 if self.options.quick else 30

        def before():
            minio.counter.take()
            return node.cpu()

        joined_s, heartbeats, started_cpu = asyncio.run(idle_members(node.port, topic, self.options.members, seconds, before))
        counted = totals(minio.counter.take())
        self.sample("members", case, "joining, all", joined_s, "s")
        self.sample("members", case, "heartbeats answered", heartbeats / seconds, "1/s")
        self.sample("members", case, "processor while idle", (node.cpu() - started_cpu) / seconds * 100, "% of a cpu")
        for kind in ("PUT", "LIST", "GET"):
            self.sample("members", case, f"{kind} a minute, idle", counted[kind] * 60 / seconds, "requests")
        self.sample("members", case, "memory", node.rss(), "MiB")


def totals(counted):
    """Counts by method."""
    found = dict.fromkeys(PRICE, 0)
    for kind, count in counted.items():
        found[kind.split(" ", 1)[0]] = found.get(kind.split(" ", 1)[0], 0) + count
    return found


def dollars(counted):
    """What requests cost."""
    return sum(PRICE.get(method, 0.0) * count / 1000 for method, count in totals(counted).items())


def wait_for_records(bootstrap, topic, until):
    """A consumer at the end of a topic."""
    from librdkafka_worker import consumer_at

    consumer = consumer_at(bootstrap, topic, 12, -1, {})
    while not until.is_set():
        consumer.poll(0.2)
    consumer.close()


def show(samples):
    """The table."""
    print(f"\n{'case':<24} {'what':<36} {'value':>12}")
    for sample in samples:
        if "failed" in sample:
            print(f"{sample['case']:<24} FAILED: {sample['failed']}")
        else:
            print(f"{sample['case']:<24} {sample['name']:<36} {sample['value']:>12.3f} {sample['unit']}")


def main():
    """The program."""
    options = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(options)
    begun = datetime.datetime.now(datetime.timezone.utc)
    described = machine.describe(bench.folder)
    try:
        bench.run()
    finally:
        results = {
            "date": begun.isoformat(timespec="seconds"), "version": _version(), "machine": described,
            "quick": options.quick, "samples": bench.samples,
        }
        path = HERE / "results" / f"cluster-{begun:%Y-%m-%d}-{results['version']}.json"
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        show(bench.samples)
        print(f"\nresults: {path.relative_to(ROOT)}")
        shutil.rmtree(bench.folder, ignore_errors=True)
    return 1 if any("failed" in sample for sample in bench.samples) else 0


if __name__ == "__main__":
    sys.exit(main())
