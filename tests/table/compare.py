"""Reads tables with readers of other people and compares every row with what a consumer reads.

Invariants
1. A reader gives all columns of all rows; a row is equal only when null and empty, order and duplicates of headers and all 64
   bits of a number are.
2. What is expected comes from record batches alone (table/examples/sample.rs), columns out of values from Python's JSON.
"""

import datetime
import json
import os
import shutil
import sys
import traceback

NUMBERS = (
    "offset",
    "timestamp_type",
    "batch_base_offset",
    "batch_last_offset",
    "batch_attributes",
    "producer_id",
    "producer_epoch",
    "base_sequence",
)
VALUE_COLUMNS = ("id", "name", "ok", "price", "at", "nested", "first")
# Readers that keep milliseconds; the others count microseconds, which no timestamp beyond the year 294247 fits.
MILLISECOND_READERS = ("pyarrow", "polars")


def unhex(text):
    return None if text is None else bytes.fromhex(text)


def columns_of(value):
    """What the columns out of values must be."""
    try:
        members = json.loads(value or b"")
    except ValueError:
        members = None
    if not isinstance(members, dict):
        return dict.fromkeys(VALUE_COLUMNS)

    def fitting(name, *types):
        member = members.get(name)
        return member if type(member) in types else None

    nested = members.get("nested")
    return {
        "id": fitting("id", int),
        "name": fitting("name", str),
        "ok": fitting("ok", bool),
        "price": fitting("price", float, int),
        "at": fitting("at", int),
        "nested": None if nested is None else json.dumps(nested, separators=(",", ":")),
        "first": nested["list"][0] if nested else None,
    }


def expected_rows(path):
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            row["key"], row["value"] = unhex(row["key"]), unhex(row["value"])
            names = [unhex(name) for name, _ in row["headers"]]
            texts = [name.decode("utf-8", "backslashreplace") for name in names]
            row["headers"] = [(text, unhex(value)) for text, (_, value) in zip(texts, row["headers"])]
            odd = any(text.encode() != name for text, name in zip(texts, names))
            row["header_names_raw"] = names if odd else None
            row["columns"] = columns_of(row["value"])
            rows.append(row)
    return rows


def row_of(found):
    """A row in the form of the expected ones, from a mapping whose timestamps are milliseconds."""
    row = {name: int(found[name]) for name in NUMBERS}
    row["timestamp"] = found["timestamp"]
    for name in ("key", "value"):
        row[name] = None if found[name] is None else bytes(found[name])
    headers = [(header["name"], header["value"]) for header in found["headers"]]
    row["headers"] = [(name, None if value is None else bytes(value)) for name, value in headers]
    raw = found["header_names_raw"]
    row["header_names_raw"] = None if raw is None else [bytes(name) for name in raw]
    row["columns"] = {name: found["value_" + name] for name in VALUE_COLUMNS}
    return row


def read_pyarrow(*paths):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.concat_tables(pyarrow.parquet.read_table(path) for path in paths)
    for name in ("timestamp", "value_at"):
        index = table.schema.get_field_index(name)
        assert table.schema.field(name).type == pyarrow.timestamp("ms", "UTC"), table.schema.field(name)
        table = table.set_column(index, name, table[name].cast(pyarrow.int64()))
    return table.to_pylist()


def read_duckdb(*paths):
    import duckdb

    query = "select * replace (epoch_ms(timestamp) as timestamp, epoch_ms(value_at) as value_at) from read_parquet(?)"
    result = duckdb.execute(query, [list(paths)])
    names = [column[0] for column in result.description]
    return [dict(zip(names, row)) for row in result.fetchall()]


def read_polars(*paths):
    import polars

    frame = polars.read_parquet(list(paths))
    assert frame.schema["timestamp"] == polars.Datetime("ms", "UTC"), frame.schema
    times = [polars.col(name).dt.epoch("ms") for name in ("timestamp", "value_at")]
    return frame.with_columns(times).to_dicts()


SPARK = []


def spark_session():
    from pyspark.sql import SparkSession

    if not SPARK:
        builder = SparkSession.builder.master("local[1]").appName("tables")
        for name, value in (
            ("spark.ui.enabled", "false"),
            ("spark.ui.showConsoleProgress", "false"),
            ("spark.driver.memory", "512m"),
            ("spark.driver.bindAddress", "127.0.0.1"),
            ("spark.driver.host", "127.0.0.1"),
            ("spark.log.level", "ERROR"),
            ("spark.sql.session.timeZone", "UTC"),
        ):
            builder = builder.config(name, value)
        SPARK.append(builder.getOrCreate())
    return SPARK[0]


def read_spark(*paths):
    frame = spark_session().read.parquet(*paths)
    names = [f"unix_millis({name}) as {name}" if name in ("timestamp", "value_at") else f"`{name}`" for name in frame.columns]
    return [row.asDict(recursive=True) for row in frame.selectExpr(*names).collect()]


READERS = {"pyarrow": read_pyarrow, "duckdb": read_duckdb, "polars": read_polars, "spark": read_spark}


def compare(found, expected):
    """Rows as a reader gives them against expected ones, which may leave columns out."""
    assert len(found) == len(expected), f"{len(found)} rows, expected {len(expected)}"
    for row, (one, other) in enumerate(zip(map(row_of, found), expected)):
        for name in other:
            assert one[name] == other[name], f"row {row}, {name}: {one[name]!r}, expected {other[name]!r}"


def find_duckdb(path, expected):
    """Pruning by row groups, pages and bloom filters changes no answer."""
    import duckdb

    for row in expected[:: len(expected) // 40]:
        found = duckdb.execute('select value from read_parquet(?) where "offset" = ?', [path, row["offset"]]).fetchall()
        assert found == [(row["value"],)], row["offset"]
    for key in {row["key"] for row in expected[:300] if row["key"] is not None} | {b"absent"}:
        found = duckdb.execute('select "offset" from read_parquet(?) where key = ?', [path, key]).fetchall()
        assert sorted(offset for (offset,) in found) == [row["offset"] for row in expected if row["key"] == key], key
    filters = duckdb.execute(
        "select count(*) from parquet_metadata(?) where path_in_schema = 'key' and bloom_filter_offset is null", [path]
    ).fetchone()
    assert filters == (0,), "a row group has no bloom filter of its keys"
    middle = expected[len(expected) // 2]["timestamp"]
    count = duckdb.execute("select count(*) from read_parquet(?) where timestamp >= to_timestamp(?)", [path, middle / 1000]).fetchone()
    assert count == (sum(row["timestamp"] >= middle for row in expected),), "by timestamp"


def find_polars(path, expected):
    import polars

    lazy = polars.scan_parquet(path)
    for row in expected[:: len(expected) // 20]:
        found = lazy.filter(polars.col("offset") == row["offset"]).select("value").collect()["value"].to_list()
        assert found == [row["value"]], row["offset"]


def find_spark(path, expected):
    frame = spark_session().read.parquet(path)
    for row in expected[:: len(expected) // 5]:
        found = frame.where(f"`offset` = {row['offset']}L").select("value").collect()
        assert [None if one.value is None else bytes(one.value) for one in found] == [row["value"]], row["offset"]


def nullable(value):
    return b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value


def sum_of(expected, names):
    """The sum of records as docs/reference/object-layout.md describes it."""
    import xxhash

    total = 0
    for row, row_names in zip(expected, names):
        data = row["offset"].to_bytes(8, "big") + row["timestamp"].to_bytes(8, "big", signed=True)
        data += bytes([row["timestamp_type"]]) + nullable(row["key"]) + nullable(row["value"])
        data += len(row["headers"]).to_bytes(4, "big")
        for name, (_, value) in zip(row_names, row["headers"]):
            data += nullable(name) + nullable(value)
        total += xxhash.xxh3_128_intdigest(data)
    return f"{total % 2**128:032x}"


def check_layout(path, expected):
    """What the file says of itself, as pyarrow sees it."""
    import pyarrow.parquet

    metadata = pyarrow.parquet.ParquetFile(path).metadata
    said = {key.decode(): value.decode() for key, value in metadata.metadata.items()}
    assert said["alluvium.format"] == "1" and said["alluvium.topic_name"] == "orders", said
    assert said["alluvium.record_count"] == str(len(expected)) and metadata.num_rows == len(expected)
    names = [row["header_names_raw"] or [name.encode() for name, _ in row["headers"]] for row in expected]
    assert said["alluvium.sum"] == sum_of(expected, names)
    assert len(json.loads(said["alluvium.row_groups"])) == metadata.num_row_groups > 1
    assert metadata.created_by.startswith("alluvium version 1.0.0"), metadata.created_by
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        assert row_group.num_rows <= 100
        assert [column.column_index for column in row_group.sorting_columns] == [0]
        for index in range(row_group.num_columns):
            column = row_group.column(index)
            assert column.compression == "ZSTD" and column.has_offset_index, column
            sorts = column.path_in_schema != "value" and not column.path_in_schema.startswith("header")
            assert column.has_column_index == sorts, column
        offsets = row_group.column(0).statistics
        assert (offsets.min, offsets.max) == tuple(json.loads(said["alluvium.row_groups"])[group][3:5])


def steps(folder, wanted):
    """Name and test of everything that is to be done."""
    usual, extreme = (os.path.join(folder, f"{name}.parquet") for name in ("usual", "extreme"))
    expected = {path: expected_rows(path.replace(".parquet", ".jsonl")) for path in (usual, extreme)}
    finders = {"duckdb": find_duckdb, "polars": find_polars, "spark": find_spark}
    for reader in wanted:
        read = READERS[reader]
        rows = len(expected[usual])
        yield reader, f"{reader} reads all {rows} rows", lambda read=read: compare(read(usual), expected[usual])
        if reader in MILLISECOND_READERS:
            yield reader, f"{reader} reads extreme timestamps", lambda read=read: compare(read(extreme), expected[extreme])
        if reader in finders:
            yield reader, f"{reader} finds rows", lambda find=finders[reader]: find(usual, expected[usual])
        if reader == "pyarrow":
            yield reader, "the layout is as described", lambda: check_layout(usual, expected[usual])


def main():
    folder, *wanted = sys.argv[1:]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for reader, name, test in steps(folder, wanted or list(READERS)):
        if reader == "spark" and not shutil.which("java"):
            print(f"skip {name}: there is no Java", flush=True)
            counts["skipped"] += 1
            continue
        started = datetime.datetime.now()
        try:
            test()
            print(f"ok   {name} ({(datetime.datetime.now() - started).total_seconds():.1f} s)", flush=True)
            counts["passed"] += 1
        except Exception:  # Whatever a reader throws is a failure of that reader, and the others go on.
            traceback.print_exc()
            print(f"FAIL {name}", flush=True)
            counts["failed"] += 1
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    sys.exit(counts["failed"] > 0)


if __name__ == "__main__":
    main()
