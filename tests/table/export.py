"""What `alluvium export` lists, read by DuckDB, is what a consumer reads.

    export.py ALLUVIUM

Invariants
1. DuckDB runs the statement that `alluvium export --output sql` prints, as it is.
2. A row is equal only when partition, offset, timestamp, key, value and headers are; rows that are not in files are exactly those
   that the list names.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

import duckdb

PARTITIONS = 3


def text(program, *arguments, environment=None, feed=None):
    done = subprocess.run([program, *arguments], input=feed, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{arguments}: {done.stderr}")
    return done.stdout


def written(program, data):
    """Writes records, merges most of them, and gives what a consumer reads, by partition and offset."""
    server = subprocess.Popen([program, "dev", "--listen", "127.0.0.1:0", "--data", data], stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"127\.0\.0\.1:\d+", server.stdout.readline()).group()
        environment = {**os.environ, "ALLUVIUM_BOOTSTRAP": address}
        text(program, "topic", "create", "web.clicks", "--partitions", str(PARTITIONS), environment=environment)
        for first in (0, 1000, 2000):
            lines = "".join(f"key{n % 97}:value {n} \u00e4\n" for n in range(first, first + 500))
            text(program, "produce", "web.clicks", "--key-separator", ":", environment=environment, feed=lines)
            if first < 2000:
                text(program, "compact", "--once", "--store", f"file://{data}")
        consumed = text(program, "consume", "web.clicks", "--json", environment=environment)
    finally:
        server.terminate()
        server.wait()
    rows = [json.loads(line) for line in consumed.splitlines()]
    return {(row["partition"], row["offset"]): (row["timestamp"], row["key"], row["value"], row["headers"]) for row in rows}


def exported(program, data):
    """The rows of the files, as DuckDB reads them."""
    statement = text(program, "export", "web.clicks", "--output", "sql", "--store", f"file://{data}").strip().rstrip(";")
    found = duckdb.sql(
        "SELECT regexp_extract(filename, '/topic/[^/]+/([0-9]+)/', 1)::INT, \"offset\", epoch_ms(timestamp), decode(key), "
        f"decode(value), headers FROM ({statement})"
    ).fetchall()
    rows = {(row[0], row[1]): (row[2], row[3], row[4], row[5]) for row in found}
    if len(rows) != len(found):
        sys.exit(f"{len(found)} rows have {len(rows)} places")
    return rows


def main(program):
    with tempfile.TemporaryDirectory() as data:
        consumed, files = written(program, data), exported(program, data)
        listed = json.loads(text(program, "export", "web.clicks", "--output", "json", "--store", f"file://{data}"))
        missing = {
            (part["partition"], offset)
            for part in listed["not_in_files"]
            for offset in range(part["from_offset"], part["end_offset"])
        }
        if not files or not missing:
            sys.exit(f"{len(files)} rows are in files, {len(missing)} are not: both are wanted")
        expected = {place: row for place, row in consumed.items() if place not in missing}
        if files != expected or len(consumed) != 1500 or not missing <= consumed.keys():
            sys.exit(f"{len(files)} rows in files, {len(expected)} expected, {len(missing)} of {len(consumed)} not in files")
        print(f"ok   duckdb reads the {len(listed['files'])} files of the list: {len(files)} rows")


main(sys.argv[1])
