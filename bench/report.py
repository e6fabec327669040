"""Turns samples into medians, ratios to Kafka, a table, and the goals that are reached or not.

Invariants: a number in the table is the median over the rounds; what failed is in the table as failed, with its reason below.
"""

import json
from statistics import median

# Order and headings of the columns.
COLUMNS = [("kafka", "Kafka"), ("folder", "folder"), ("minio", "MinIO"), ("s3-model", "S3 model")]
# kind, case, target, what is asked, and the test of (value, value of Kafka).
GOALS = [
    ("latency", "produce p50, 5 MiB/s, 1 partition", "s3-model", "at most 100 ms", lambda value, _: value <= 100),
    ("latency", "produce p99, 5 MiB/s, 1 partition", "s3-model", "at most 300 ms", lambda value, _: value <= 300),
    ("produce", "franz-go untuned, 1 partition", "s3-model", "at least 30 MiB/s", lambda value, _: value >= 30),
    ("produce", "librdkafka untuned, 1 partition", "s3-model", "at least 30 MiB/s", lambda value, _: value >= 30),
    ("footprint", "idle memory", "folder", "under 30 MiB", lambda value, _: value < 30),
    ("footprint", "start to serving", "folder", "under 100 ms", lambda value, _: value < 100),
    ("requests", "small flush: PUT for data", "minio", "1 PUT", lambda value, _: value <= 1.001),
    ("requests", "large flush: PUT for data", "minio", "at most 2 PUT", lambda value, _: value <= 2.001),
    ("requests", "small flush: LIST", "minio", "none", lambda value, _: value == 0),
    ("requests", "large flush: LIST", "minio", "none", lambda value, _: value == 0),
]


def write(results, folder):
    """Writes the results as JSON, named after the day and the version; returns the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{results['date'][:10]}-{results['version']}.json"
    number = 1
    while path.exists():
        number += 1
        path = folder / f"{results['date'][:10]}-{results['version']}-{number}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    return path


def load(path):
    """Reads what `write` wrote."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def values(results):
    """(kind, case) to target to the list of values, in the order of the first appearance."""
    found: dict = {}
    for sample in results["samples"]:
        targets = found.setdefault((sample["kind"], sample["case"]), {})
        entry = targets.setdefault(sample["target"], {"values": [], "unit": "", "failed": None})
        if "failed" in sample:
            entry["failed"] = sample["failed"]
        else:
            entry["values"].append(sample["value"])
            entry["unit"] = sample["unit"]
    return found


def number(value):
    """Three digits that matter."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(entry, of_kafka, is_kafka):
    """Median, spread over the rounds, ratio to Kafka."""
    if entry is None:
        return ""
    if not entry["values"]:
        return "failed"
    middle = median(entry["values"])
    text = number(middle)
    if len(entry["values"]) > 1:
        text += f" ({number(min(entry['values']))}-{number(max(entry['values']))})"
    if of_kafka and not is_kafka:
        text += f", {number(middle / of_kafka)}x"
    return text


def rows(results):
    """The table: a heading and one row per case."""
    table = [["", "unit", *(heading for _, heading in COLUMNS)]]
    for (kind, case), targets in values(results).items():
        kafka = targets.get("kafka")
        of_kafka = median(kafka["values"]) if kafka and kafka["values"] else None
        unit = next((entry["unit"] for entry in targets.values() if entry["unit"]), "")
        cells = [cell(targets.get(name), of_kafka, name == "kafka") for name, _ in COLUMNS]
        table.append([f"{kind}: {case}", unit, *cells])
    return table


def plain(table):
    """For a terminal."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in table)


def markdown(table):
    """For a page."""
    lines = ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join([lines[0], "|" + " --- |" * len(table[0]), *lines[1:]])


def goals(results):
    """What was to be reached: (text, value or None, reached)."""
    found, judged = values(results), []
    for (kind, case), targets in found.items():
        kafka, folder = targets.get("kafka"), targets.get("folder")
        if kind in ("produce", "consume") and kafka and folder and kafka["values"] and folder["values"]:
            ratio = median(folder["values"]) / median(kafka["values"])
            judged.append((f"{kind}: {case}, folder: at least Kafka's", f"{ratio:.2f}x", ratio >= 1))
    for kind, case, target, asked, reached in GOALS:
        entry = found.get((kind, case), {}).get(target)
        if entry and entry["values"]:
            value = median(entry["values"])
            judged.append((f"{kind}: {case}, {target}: {asked}", f"{number(value)} {entry['unit']}", reached(value, None)))
    idle = next((targets["minio"] for (kind, case), targets in found.items() if kind == "requests" and case.startswith("idle")), None)
    if idle and idle["values"]:
        judged.append(("requests: idle, minio: none", number(max(idle["values"])), max(idle["values"]) == 0))
    return judged


def others(results):
    """How many processors something else than the bench used: median and largest."""
    used = [sample["others_cpus"] for sample in results["samples"] if sample.get("others_cpus")]
    return (median(used), max(used)) if used else (0.0, 0.0)


def heading(results):
    """Where and when the numbers come from."""
    described = results["machine"]
    busy, busiest = others(results)
    # A binary that was handed in may be older than the checkout.
    cut = "; the run was cut short" if results.get("interrupted") else ""
    given = " or a little before" if results.get("given_binary") else ""
    return (
        f"{results['date'][:10]}, Alluvium {results['version']}{given}, Apache Kafka {results['kafka_version']}; "
        f"{described['processors']} processors ({described['processor']}), {described['memory_gib']} GiB, {described['system']}, "
        f"{described['file_system']}, disk {described['disk_write_mib_per_second']} MiB/s; {results['rounds']} round(s), "
        f"at most {results['sizes']['records']} records of 1 KiB in a run; other programs used {busy:.2f} processors (median; at most {busiest:.2f}){cut}."
    )


def show(results, docs=None):
    """Prints the table and the goals; with `docs` writes the page's parts and the plots there."""
    table = rows(results)
    print(f"\n{heading(results)}\n\n{plain(table)}\n")
    for text, value, reached in goals(results):
        print(f"{'reached    ' if reached else 'NOT REACHED'} {text}: {value}")
    for sample in results["samples"]:
        if "failed" in sample:
            print(f"failed: {sample['target']}, {sample['kind']}, {sample['case']}: {sample['failed']}")
    if docs is not None:
        import page

        page.write(results, docs)
