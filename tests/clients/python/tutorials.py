"""Runs the beginner programs of tutorials/ as a user would: started, their output read, interrupted with Ctrl-C.

Invariants
1. The topics do not exist beforehand; the programs know nothing of the suite.
2. A consumer must print every message within the deadline and end cleanly when it is interrupted.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import uuid

from client import wait_for
from report import Report, Skip
from scenarios import check, equal

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tutorials")
RUN = uuid.uuid4().hex[:8]
DEADLINE_S = 40
PAIRS = {
    "kafka-python": ("kafka_python_producer.py", "kafka_python_consumer.py"),
    "confluent-kafka": ("confluent_producer.py", "confluent_consumer.py"),
    "confluent-kafka-serializing": ("confluent_serializing_producer.py", "confluent_deserializing_consumer.py"),
}
ADMINS = {"kafka-python": "kafka_python_admin.py", "confluent-kafka": "confluent_admin.py"}


def program(file, *arguments):
    """The command of one program."""
    return [sys.executable, os.path.join(HERE, file), *arguments]


def run_to_end(file, *arguments):
    """Runs a program that ends by itself and returns what it printed."""
    done = subprocess.run(program(file, *arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=DEADLINE_S)
    sys.stderr.write(done.stderr)
    check(done.returncode == 0, f"{file} ended with exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def produce_then_consume(bootstrap, producer, consumer, topic):
    """The producer first, then a consumer that starts at the earliest offset."""
    printed = run_to_end(producer, bootstrap, topic)
    check("failed" not in printed, f"the producer reports failures: {printed[:200]}")
    consume(bootstrap, consumer, topic, lambda: None)


def consume_while_produced(bootstrap, producer, consumer, topic):
    """The consumer is started first, on a topic that does not exist, as two terminals would."""
    consume(bootstrap, consumer, topic, lambda: run_to_end(producer, bootstrap, topic))


def consume(bootstrap, consumer, topic, meanwhile):
    """Runs a consumer until it printed all numbers, then interrupts it."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(program(consumer, bootstrap, topic, f"{topic}-group"), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            meanwhile()
            wait_for("100 numbers printed", lambda: len(numbers(output)) >= 100 or process.poll() is not None, DEADLINE_S - 5, 0.1)
            equal("numbers printed", sorted(numbers(output)), list(range(100)))
            check(process.poll() is None, "the consumer ended by itself")
            process.send_signal(signal.SIGINT)
            process.wait(10)
        finally:
            process.kill()
            process.wait()
            sys.stderr.write(text_of(output))


def text_of(output):
    """What a program printed so far."""
    output.seek(0)
    return output.read()


def numbers(output):
    """The numbers a consumer printed so far."""
    return [int(number) for number in re.findall(r"^received (\d+)$", text_of(output), re.MULTILINE)]


def create_test_topic(bootstrap, admin, topic):
    """An AdminClient that creates `test_topic` with three partitions and replication factor 3."""
    if os.environ.get("REFERENCE"):
        raise Skip("one node of Apache Kafka refuses replication factor 3")
    printed = run_to_end(admin, bootstrap, topic)
    equal("partitions printed", sorted(re.findall(r"^partition (\d)", printed, re.MULTILINE)), ["0", "1", "2"])


def main(bootstrap):
    """Runs all pairs and admin programs."""
    # Started in the background of a shell we ignore SIGINT, and so would the programs; a handled signal is not inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    report = Report("python-tutorials")
    for name, (producer, consumer) in PAIRS.items():
        topic = f"tutorial-{name}-{RUN}"
        report.run(f"{name}/produce_then_consume", lambda: produce_then_consume(bootstrap, producer, consumer, topic), DEADLINE_S + 10)
    for name, (producer, consumer) in list(PAIRS.items())[:1]:
        topic = f"tutorial-{name}-live-{RUN}"
        report.run(f"{name}/consume_while_produced", lambda: consume_while_produced(bootstrap, producer, consumer, topic), DEADLINE_S + 10)
    for name, admin in ADMINS.items():
        topic = f"test_topic-{name}-{RUN}"
        report.run(f"{name}/admin_creates_test_topic", lambda: create_test_topic(bootstrap, admin, topic), DEADLINE_S + 10)
    report.finish()


if __name__ == "__main__":
    main(sys.argv[1])
