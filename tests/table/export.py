"""What `alluvium export` lists, read by other people's readers, is what other people's consumer reads.

    export.py ALLUVIUM [READER...]

librdkafka writes a topic that keeps all records and one that is compacted by key: null and empty keys and values, headers, several
codecs, transactions that are committed and aborted. The compactor makes files of most of it, more than once. Then librdkafka reads the
topics with read_committed, and each reader the files.

Invariants
1. A row is equal only when offset, timestamp and its type, key, value, headers and the columns out of the value are; null and empty
   are different.
2. Rows that are not in files are exactly those that the list names, and there are such rows and rows in files.
3. DuckDB runs the statement that `alluvium export --output sql` prints, as it is.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

import confluent_kafka
from compare import READERS, columns_of, compare

PARTITIONS = 3
TOPICS = {"web.clicks": "delete", "web.users": "compact"}
# As table/examples/sample.rs has them.
COLUMNS = "id:int64,name:string,ok:bool,price:float64,at:timestamp_ms,nested:json,first:int64:/nested/list/0"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
RECORDS_EACH = 300
WAIT_SECONDS = 60


def text(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{arguments}: {done.stderr}")
    return done.stdout


def key(topic, number):
    if TOPICS[topic] == "compact":
        return f"key-{number % 40}"
    return (None, b"", f"key-{number % 97}", "sch\u00f6n")[number % 4]


def value(number):
    document = {"id": 2**63 - 1 - number, "name": "caf\u00e9", "ok": True, "price": 0.1, "at": 1_700_000_000_000, "nested": {"list": [number]}}
    return (json.dumps(document), b"", None, bytes(range(256)), f"value {number}")[number % 5]


def headers(number):
    return ([], [("trace", b"one"), ("trace", b"two"), ("trace", b"one")], [("null", None), ("empty", b""), ("na\u00efve", b"\x00\xff")])[number % 3]


def produce(address, topic, first, codec, ending):
    """Records from `first` on in a transaction that ends so, or without any."""
    settings = {"bootstrap.servers": address, "compression.type": codec, "linger.ms": 20}
    if ending:
        settings["transactional.id"] = f"{topic}-{first}"
    producer, refused = confluent_kafka.Producer(settings), []
    if ending:
        producer.init_transactions(WAIT_SECONDS)
        producer.begin_transaction()

    def delivered(error, _message):
        if error is not None:
            refused.append(error)

    for number in range(first, first + RECORDS_EACH):
        producer.produce(topic, value(number), key(topic, number), number % PARTITIONS, headers=headers(number), on_delivery=delivered)
    if producer.flush(WAIT_SECONDS) or refused:
        sys.exit(f"not delivered: {refused[:3]}")
    if ending == "committed":
        producer.commit_transaction(WAIT_SECONDS)
    elif ending == "aborted":
        producer.abort_transaction(WAIT_SECONDS)


def consumed(address, topic):
    """What a consumer with read_committed gets, by partition, in the form of the readers' rows."""
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": address, "group.id": "reader", "isolation.level": "read_committed", "enable.partition.eof": True,
        "enable.auto.commit": False,
    })
    begin = confluent_kafka.OFFSET_BEGINNING
    consumer.assign([confluent_kafka.TopicPartition(topic, partition, begin) for partition in range(PARTITIONS)])
    rows, ended = {partition: [] for partition in range(PARTITIONS)}, set()
    while len(ended) < PARTITIONS:
        message = consumer.poll(WAIT_SECONDS)
        if message is None:
            sys.exit(f"{topic}: nothing comes any more, and partitions have no end")
        if message.error() is not None:
            if message.error().code() != confluent_kafka.KafkaError._PARTITION_EOF:
                sys.exit(f"{topic}: {message.error()}")
            ended.add(message.partition())
            continue
        kind, timestamp = message.timestamp()
        rows[message.partition()].append({
            "offset": message.offset(),
            "timestamp": timestamp,
            "timestamp_type": {confluent_kafka.TIMESTAMP_CREATE_TIME: 0, confluent_kafka.TIMESTAMP_LOG_APPEND_TIME: 1}[kind],
            "key": message.key(),
            "value": message.value(),
            "headers": message.headers() or [],
            "header_names_raw": None,
            "columns": columns_of(message.value()),
        })
    consumer.close()
    return rows


def written(program, data):
    """Writes records, has most of them merged, and gives what a consumer reads, by topic and partition."""
    server = subprocess.Popen([program, "dev", "--listen", "127.0.0.1:0", "--data", data], stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"127\.0\.0\.1:\d+", server.stdout.readline()).group()
        for topic, policy in TOPICS.items():
            configs = (f"cleanup.policy={policy}", f"alluvium.parquet.value.columns={COLUMNS}", "min.cleanable.dirty.ratio=0")
            settings = [word for config in configs for word in ("--config", config)]
            text(program, "topic", "create", topic, "--partitions", str(PARTITIONS), *settings, "--bootstrap", address)
        first = 0
        for endings in ((None, "aborted", "committed"), (None, "aborted"), ("committed",)):
            for ending in endings:
                for topic in TOPICS:
                    produce(address, topic, first, CODECS[first // RECORDS_EACH % len(CODECS)], ending)
                first += RECORDS_EACH
            if endings != ("committed",):
                text(program, "compact", "--once", "--store", f"file://{data}")
        return {topic: consumed(address, topic) for topic in TOPICS}
    finally:
        server.terminate()
        server.wait()


def listed(program, data, topic, rows):
    """The files of a topic by partition, and what of the consumer's rows has to be in them."""
    said = json.loads(text(program, "export", topic, "--output", "json", "--store", f"file://{data}"))
    missing = {
        (part["partition"], offset) for part in said["not_in_files"] for offset in range(part["from_offset"], part["end_offset"])
    }
    files = {}
    for file in said["files"]:
        path = file["uri"].removeprefix("file://")
        files.setdefault(int(re.search(r"/topic/[^/]+/([0-9]+)/", path)[1]), []).append(path)
    expected = {
        partition: [row for row in rows[partition] if (partition, row["offset"]) not in missing] for partition in rows
    }
    outside = sum(map(len, rows.values())) - sum(map(len, expected.values()))
    if set(files) != set(rows) or not all(expected.values()) or not outside:
        sys.exit(f"{topic}: files of partitions {sorted(files)}, {outside} rows in none: all partitions and some rows are wanted")
    return files, expected


def by_list(reader, files, expected):
    """Each partition's files together, as the list has them."""
    for partition, paths in files.items():
        found = sorted(READERS[reader](*paths), key=lambda row: row["offset"])
        compare(found, expected[partition])


def by_statement(program, data, topic, expected):
    """The statement for DuckDB."""
    import duckdb

    statement = text(program, "export", topic, "--output", "sql", "--store", f"file://{data}").strip().rstrip(";")
    found = duckdb.sql(
        "SELECT regexp_extract(filename, '/topic/[^/]+/([0-9]+)/', 1)::INT, \"offset\", epoch_ms(timestamp), key, value "
        f"FROM ({statement}) ORDER BY ALL"
    ).fetchall()
    wanted = [
        (partition, row["offset"], row["timestamp"], row["key"], row["value"]) for partition in sorted(expected) for row in expected[partition]
    ]
    assert found == wanted, f"{len(found)} rows, expected {len(wanted)}"


def steps(program, data, readers):
    """Name and test of everything that is to be done."""
    topics = written(program, data)
    counts = {topic: sum(map(len, rows.values())) for topic, rows in topics.items()}
    if not 0 < counts["web.users"] < counts["web.clicks"]:
        sys.exit(f"nothing was compacted by key: {counts}")
    for topic, rows in topics.items():
        files, expected = listed(program, data, topic, rows)
        count, rows_there = sum(map(len, files.values())), sum(map(len, expected.values()))
        what = f"the {count} files that the compactor made of {topic}: {rows_there} rows"
        for reader in readers:
            yield reader, f"{reader} reads {what}", lambda reader=reader: by_list(reader, files, expected)
        if "duckdb" in readers:
            yield "duckdb", f"duckdb runs the statement for {what}", lambda: by_statement(program, data, topic, expected)


def main(program, *readers):
    failed = 0
    with tempfile.TemporaryDirectory() as data:
        for reader, name, test in steps(program, data, readers or list(READERS)):
            if reader == "spark" and not shutil.which("java"):
                print(f"skip {name}: there is no Java", flush=True)
                continue
            try:
                test()
                print(f"ok   {name}", flush=True)
            except Exception:  # Whatever a reader throws is a failure of that reader, and the others go on.
                traceback.print_exc()
                print(f"FAIL {name}", flush=True)
                failed += 1
    sys.exit(failed > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
