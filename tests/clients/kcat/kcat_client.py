"""The adapter of kcat, and the scenarios that only kcat has. Needs the standard library alone.

Invariants
1. kcat is run as a program, one process an act; every process has a deadline and is ended with its scenario.
2. Records leave kcat length-prefixed, so that bytes are compared as they are.
"""

import io
import json
import re
import subprocess
import sys
import threading

import wire
from client import DEADLINE_S, HEARTBEAT_MS, SESSION_TIMEOUT_MS, Client, Incoming, Lacking, Outgoing, wait_for
from scenarios import PARTITION_COUNT, Scenarios, check, equal, numbered, run_all, time_between

FORMAT = r"%K %S %p %o %h\n%k%s\n"
VALUE_END = b"<<END>>"
KEY_END = b"<<KEY>>"
ASSIGNED = re.compile(r"rebalanced \(memberid [^)]*\): (assigned|revoked):(.*)")


class Kcat(Client):
    """kcat 1.7 with the librdkafka it was built with."""

    name = "kcat"
    binary_headers = False  # headers are arguments of the program, and are printed without lengths

    def __init__(self, program, bootstrap):
        super().__init__(bootstrap)
        self.program = program

    def command(self, *arguments):
        """kcat with the broker and the arguments."""
        return [self.program, "-b", self.bootstrap, *map(str, arguments)]

    def run(self, *arguments, stdin=b""):
        """Runs kcat to its end and returns stdout and stderr."""
        done = subprocess.run(self.command(*arguments), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE_S, check=False)
        errors = done.stderr.decode(errors="replace")
        if done.returncode:
            raise RuntimeError(f"kcat {' '.join(map(str, arguments))} ended with exit code {done.returncode}: {errors[-300:]}")
        return done.stdout, errors

    def partition_count(self, topic):
        listed = json.loads(self.run("-L", "-J")[0])
        return next((len(found["partitions"]) for found in listed["topics"] if found["topic"] == topic), 0)

    def produce(self, topic, records, codec=None, idempotent=False, acks="all"):
        options = ["-X", f"acks={acks}", "-X", f"enable.idempotence={str(idempotent).lower()}"]
        if codec:
            options += ["-z", codec]
        for kind, group in alike(records).items():
            _, report = self.run("-P", "-vvv", *options, *produce_arguments(topic, kind), stdin=encode(group))
            equal("messages delivered", report.count("% Message delivered"), len(group))

    def held_producer(self, topic):
        return HeldProducer(self, topic)

    def read(self, topic, starts, count):
        got = []
        for partition, start in starts.items():
            output, _ = self.run("-C", "-q", "-e", "-t", topic, "-p", partition, "-o", start, "-f", FORMAT)
            got.extend(decode_all(output))
        equal("number of records", len(got), count)
        return got

    def join(self, group, topic):
        return Member(self, group, topic)

    def offsets_for_time(self, topic, partitions, timestamp_ms):
        queries = [argument for partition in partitions for argument in ("-t", f"{topic}:{partition}:{timestamp_ms}")]
        output, _ = self.run("-Q", *queries)
        return {int(p): int(offset) for p, offset in re.findall(r"\[(\d+)\] offset (-?\d+)", output.decode())}

    def groups(self):
        raise Lacking("kcat does not list groups")


class HeldProducer:
    """kcat reads its input in blocks of 1 KiB, so it cannot be fed record by record: each send is a process of its own."""

    def __init__(self, kcat, topic):
        self._kcat, self._topic = kcat, topic

    def send(self, records):
        """Sends all and waits until all are delivered."""
        self._kcat.produce(self._topic, records)

    def close(self):
        """Nothing is left to end."""


class Member:
    """kcat -G: the assignment is read from stderr, records from stdout."""

    def __init__(self, kcat, group, topic):
        options = {
            "auto.offset.reset": "earliest",
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": HEARTBEAT_MS,
        }
        settings = [argument for name, value in options.items() for argument in ("-X", f"{name}={value}")]
        command = kcat.command("-G", group, "-E", "-u", "-f", FORMAT, *settings, topic)
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._partitions = frozenset()
        self._left = False
        self.received = []
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._read_records, self._read_rebalances)]
        for thread in self._threads:
            thread.start()

    def _read_records(self):
        while (record := decode_one(self._process.stdout)) is not None:
            self.received.append(record)

    def _read_rebalances(self):
        for line in self._process.stderr:
            text = line.decode(errors="replace").rstrip()
            sys.stderr.write(text + "\n")
            found = ASSIGNED.search(text)
            if found:
                partitions = frozenset(int(p) for p in re.findall(r"\[(\d+)\]", found[2]))
                self._partitions = partitions if found[1] == "assigned" else frozenset()

    def assignment(self):
        """The partitions that the member owns now."""
        check(self._left or self._process.poll() is None, "the group member ended by itself")
        return self._partitions

    def commit(self):
        """kcat commits what it printed, by itself and when it leaves."""

    def leave(self):
        """SIGTERM: kcat commits and leaves the group."""
        self._left = True
        self._process.terminate()
        equal("exit code of the group member", self._process.wait(DEADLINE_S), 0)
        for thread in self._threads:
            thread.join(DEADLINE_S)


class KcatScenarios(Scenarios):
    """What only kcat does, after what all clients do."""

    def all(self):
        shared = list(super().all())
        yield from shared[:-2]
        yield "metadata_list", self.metadata_list, 30
        yield "read_last_records", self.read_last_records, 30
        yield "read_between_times", self.read_between_times, 30
        yield "json_envelope", self.json_envelope, 30
        yield "read_from_beginning_all_partitions", self.read_all_partitions, 30
        yield "produce_file", self.produce_file, 30
        yield "unknown_partition", self.unknown_partition, 30
        yield "transaction_of_a_file", self.transaction, 60
        yield "transaction_interrupted", self.interrupted_transaction, 60
        yield from shared[-2:]

    def metadata_list(self):
        topic = self.topic("list")
        listed = self.client.run("-L", "-t", topic)[0].decode()
        check(f'topic "{topic}" with {PARTITION_COUNT} partitions' in listed, f"the listing lacks the topic: {listed[:300]}")
        check(re.search(r"broker -?\d+ at " + re.escape(self.client.bootstrap), listed), f"the listing lacks the broker: {listed[:300]}")
        equal("leaders", len(re.findall(r"partition \d, leader \d+,", listed)), PARTITION_COUNT)

    def read_last_records(self):
        topic = self.topic("last")
        self.client.produce(topic, numbered(30))
        got = self.client.read(topic, {0: -4}, 4)
        equal("offsets", [record.offset for record in got], [6, 7, 8, 9])

    def read_between_times(self):
        topic = self.topic("between")
        self.client.produce(topic, numbered(30))
        first_ms = time_between()
        self.client.produce(topic, numbered(30))
        last_ms = time_between()
        self.client.produce(topic, numbered(30))
        command = ("-C", "-q", "-e", "-t", topic, "-p", 1, "-o", f"s@{first_ms}", "-o", f"e@{last_ms}", "-f", FORMAT)
        offsets = [record.offset for record in decode_all(self.client.run(*command)[0])]
        equal("offsets", offsets, list(range(10, 20)))

    def json_envelope(self):
        topic = self.topic("json")
        self.client.produce(topic, [Outgoing(b'{"number": 7}', b"seven", (("color", b"grey"),), 2)])
        output, _ = self.client.run("-C", "-q", "-e", "-t", topic, "-J")
        envelope = json.loads(output)
        expected = {"topic": topic, "partition": 2, "offset": 0, "key": "seven", "payload": '{"number": 7}', "headers": ["color", "grey"], "tstype": "create"}
        equal("envelope", {name: envelope.get(name) for name in expected}, expected)
        check(envelope["ts"] > 0, "the record has no time")

    def read_all_partitions(self):
        topic = self.topic("all")
        sent = numbered(90)
        self.client.produce(topic, sent)
        output, _ = self.client.run("-C", "-q", "-e", "-o", "beginning", "-t", topic, "-f", FORMAT)
        equal("values", sorted(record.value for record in decode_all(output)), sorted(record.value for record in sent))

    def produce_file(self):
        topic = self.topic("file")
        with open(__file__, "rb") as file:
            text = file.read()
        self.client.run("-P", "-t", topic, "-p", 0, "-k", "whole", __file__)
        (record,) = self.client.read(topic, {0: "beginning"}, 1)
        equal("record", (record.key, record.value), (b"whole", text))

    def transaction(self):
        """What a kcat with a transactional id is given is one transaction."""
        topic = self.topic("transaction")
        for number in range(3):
            lines = "".join(f"{number}-{line}\n" for line in range(30)).encode()
            self.client.run("-P", "-t", topic, "-X", f"transactional.id={topic}", stdin=lines)
        expected = sorted(b"%d-%d" % (number, line) for number in range(3) for line in range(30))
        equal("committed", sorted(self.isolated(topic, "read_committed")), expected)

    def interrupted_transaction(self):
        """What a kcat leaves open when it is terminated is aborted by the next one with its id."""
        topic = self.topic("interrupted")
        command = self.client.command("-P", "-t", topic, "-p", 1, "-X", f"transactional.id={topic}", "-X", "linger.ms=0")
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as kcat:
            # kcat reads its input in blocks: what is behind the last whole one stays with it.
            kcat.stdin.write(b"".join(b"%0100d\n" % number for number in range(100)))
            kcat.stdin.flush()
            wait_for("the records of the transaction to be there", lambda: self.isolated(topic, "read_uncommitted"))
            equal("committed while it is open", self.isolated(topic, "read_committed"), [])
            kcat.terminate()
            kcat.stdin.close()
            kcat.wait(DEADLINE_S)
        self.client.run("-P", "-t", topic, "-p", 1, "-X", f"transactional.id={topic}", stdin=b"next\n")
        equal("committed", self.isolated(topic, "read_committed"), [b"next"])

    def isolated(self, topic, level):
        """All values that a reader of this isolation level is shown."""
        command = ("-C", "-q", "-e", "-o", "beginning", "-t", topic, "-X", f"isolation.level={level}", "-f", FORMAT)
        return [record.value for record in decode_all(self.client.run(*command)[0])]

    def unknown_partition(self):
        """Reading a partition that does not exist is an error, not nothing."""
        topic = self.topic("unknown")
        try:
            self.client.run("-C", "-q", "-e", "-t", topic, "-p", 99, "-o", "beginning")
        except RuntimeError as error:
            check("partition 99 does not exist" in str(error), f"an odd error: {error}")
        else:
            raise AssertionError("reading a partition that does not exist was no error")


def alike(records):
    """Records grouped by what is an argument of kcat: (partition, headers, has a key, is null)."""
    groups = {}
    for record in records:
        kind = (record.partition, record.headers, record.key is not None, record.value is None)
        groups.setdefault(kind, []).append(record)
    return groups


def produce_arguments(topic, kind):
    """The arguments for one group of records."""
    partition, headers, has_key, is_null = kind
    arguments = ["-t", topic, "-D", VALUE_END.decode()]
    arguments += ["-p", str(partition)] if partition is not None else []
    arguments += ["-K", KEY_END.decode()] if has_key else []
    arguments += ["-Z"] if is_null else []
    for name, value in headers:
        arguments += ["-H", name if value is None else f"{name}={value.decode()}"]
    return arguments


def encode(records):
    """What kcat reads from stdin for these records."""
    parts = [(b"" if r.key is None else r.key + KEY_END) + (r.value or b"") for r in records]
    return VALUE_END.join(parts)


def decode_all(output):
    """All records that a kcat printed in FORMAT."""
    stream, records = io.BytesIO(output), []
    while (record := decode_one(stream)) is not None:
        records.append(record)
    return records


def decode_one(stream):
    """The next record in FORMAT, or None at the end."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    key_length, value_length, partition, offset, headers = line[:-1].decode().split(" ", 4)
    key, value = (None if int(length) < 0 else stream.read(int(length)) for length in (key_length, value_length))
    stream.read(1)
    return Incoming(int(partition), int(offset), key, value, parse_headers(headers))


def parse_headers(text):
    """name=value,name=value as kcat prints headers; NULL stands for a null value."""
    pairs = [header.partition("=") for header in text.split(",") if header]
    return tuple((name, None if value == "NULL" else value.encode()) for name, _, value in pairs)


if __name__ == "__main__":
    kcat = Kcat(sys.argv[1], sys.argv[2])
    wire.wait_until_serves(kcat.bootstrap, 10)
    run_all(kcat, sys.argv[3:], KcatScenarios(kcat))
