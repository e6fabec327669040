"""bench/transactions: how long a transaction takes, over 1 and 10 partitions, on Apache Kafka and on Alluvium. Prints a table and writes JSON.

One client runs one transaction after another: a record of 1 KiB for each partition, a wait for their acknowledgements, the commit.
`commit` is the last call alone, `whole` is from the beginning on. franz-go speaks the newest protocol (KIP-890), librdkafka the one before.

Invariants: each target gets the machine to itself in turn, in the opposite order every second round; a case that fails is recorded
with its reason; every transaction that is counted was committed.
"""

import argparse
import atexit
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
import report
from confluent_kafka.admin import AdminClient, NewTopic
from main import ROOT, _chosen, _version, find_binary
from page import NAMES
from stock_clients import FranzGo, librdkafka
from targets import SUPPORT, TARGETS, Alluvium

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- transactions: begin -->", "<!-- transactions: end -->"
PARTITIONS = (1, 10)
CLIENTS = ("franz-go", "librdkafka")


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench/transactions", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="one round of 150 transactions each")
    parser.add_argument("--targets", metavar="TARGET,...", default="", help=f"of {', '.join(TARGETS)} (default: all but minio)")
    parser.add_argument("--repeat", type=int, metavar="ROUNDS", help="rounds through all targets (default: 3, with --quick 1)")
    parser.add_argument("--docs", action="store_true", help="also put the table into docs/performance.md")
    parser.add_argument("--show", metavar="JSON", help="measure nothing: the table of a results file")
    options = parser.parse_args(arguments)
    known = list(TARGETS)
    options.target_names = _chosen(parser, "--targets", options.targets, known) if options.targets else [name for name in known if name != "minio"]
    options.rounds = options.repeat or (1 if options.quick else 3)
    options.count = 150 if options.quick else 500
    return options


class Bench:
    """Goes through rounds and targets and collects samples."""

    def __init__(self, options):
        self.options, self.samples, self.current = options, [], None
        self.folder = Path(tempfile.mkdtemp(prefix="transactions-", dir=Path(os.environ["ALLUVIUM_CACHE"]) / "bench"))
        atexit.register(self.end)

    def end(self):
        """Nothing of a run outlives it."""
        if self.current is not None:
            self.current.clear()
            self.current = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self):
        """All rounds."""
        if any(name != "kafka" for name in self.options.target_names):
            Alluvium.binary = find_binary()
        franz = FranzGo()
        for number in range(self.options.rounds):
            names = self.options.target_names if number % 2 == 0 else self.options.target_names[::-1]
            for name in names:
                self.one(TARGETS[name](self.folder), number, franz)

    def one(self, target, number, franz):
        """One target in one round."""
        print(f"round {number + 1}, {target.label}, load {machine.load()}", file=sys.stderr)
        self.current = target
        try:
            target.prepare()
            target.start()
            for partitions in PARTITIONS:
                topic = f"transactions-{partitions}"
                admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{target.port}"})
                admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)
                for client in CLIENTS:
                    self.measure(target, number, franz, client, topic, partitions)
        except Exception as error:
            self.failed(target, "start", error)
        finally:
            target.clear()
            self.current = None

    def measure(self, target, number, franz, client, topic, partitions):
        """The transactions of one client."""
        case = f"{client}, {partitions} partition{'s' if partitions > 1 else ''}"
        try:
            busy, own = machine.busy_ticks(), target.cpu_seconds()
            if client == "franz-go":
                found = franz.run("transactions", target.port, topic, self.options.count, partitions)
            else:
                found = librdkafka("transactions", target.port, topic, records=self.options.count, partitions=partitions)
            used = (machine.busy_ticks() - busy) / os.sysconf("SC_CLK_TCK")
            server_seconds = target.cpu_seconds() - own
        except Exception as error:
            self.failed(target, case, error)
            return
        for what in ("commit", "whole"):
            for quantile in ("p50", "p99"):
                value = found[f"{what}_ms"][quantile]
                sample = {"kind": what, "case": f"{case}, {quantile}", "target": target.name, "round": number, "value": value, "unit": "ms"}
                self.samples.append(sample | {"load": machine.load(), "all_cpu_seconds": round(used, 2), "server_cpu_seconds": round(server_seconds, 2)})
                print(f"  {what:<8} {case:<28} {quantile:<4} {value:>9.2f} ms", file=sys.stderr)

    def failed(self, target, case, error):
        """Records that there is no number and why."""
        reason = f"{type(error).__name__}: {error}"[:400]
        self.samples.append({"kind": "commit", "case": case, "target": target.name, "failed": reason})
        print(f"  {case}: FAILED {reason}", file=sys.stderr)


def rows(results):
    """The table: a heading and one row per case, with medians over the rounds."""
    shown = [name for name in NAMES if name in results["targets"]]
    table = [["", *(NAMES[name] for name in shown)]]
    for kind in ("whole", "commit"):
        for (found_kind, case), targets in report.values(results).items():
            if found_kind == kind:
                table.append([f"{kind}: {case}", *(report.cell(targets.get(name), None, False) for name in shown)])
    return table


def heading(results):
    """When, what and where."""
    described = results["machine"]
    load = sorted(sample["load"] for sample in results["samples"] if "load" in sample)
    return (
        f"{results['date'][:10]}, Alluvium {results['version']} or a little before, Apache Kafka {results['kafka_version']}; "
        f"{described['processors']} processors ({described['processor']}), {described['memory_gib']} GiB, {described['file_system']}; "
        f"{results['rounds']} round(s) of {results['count']} transactions; load {load[0] if load else '?'} to {load[-1] if load else '?'}."
    )


def write_page(results):
    """The part of docs/performance.md between the markers of transactions."""
    path = ROOT / "docs/performance.md"
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    failed = [f"- failed: {sample['target']}, {sample['case']}: {sample['failed']}" for sample in results["samples"] if "failed" in sample]
    text = "\n".join([heading(results), "", "Milliseconds, medians over the rounds.", "", report.markdown(rows(results)), *failed])
    path.write_text(f"{before}{BEGIN}\n{text.rstrip()}\n{END}{after}")


def show(results, docs):
    """Prints the table, and writes the page when asked to."""
    print(heading(results) + "\n")
    print(report.plain(rows(results)))
    for sample in results["samples"]:
        if "failed" in sample:
            print(f"failed: {sample['target']}, {sample['case']}: {sample['failed']}")
    if docs:
        write_page(results)


def main():
    """The program."""
    options = parse(sys.argv[1:])
    if options.show:
        show(report.load(options.show), options.docs)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(options)
    begun = datetime.datetime.now(datetime.timezone.utc)
    described = machine.describe(bench.folder)
    bench.run()
    results = {
        "date": begun.isoformat(timespec="seconds"),
        "version": _version(),
        "kafka_version": subprocess.run([SUPPORT / "kafka", "version"], capture_output=True, text=True, check=True).stdout.strip(),
        "machine": described, "rounds": options.rounds, "count": options.count, "targets": options.target_names, "samples": bench.samples,
    }
    path = HERE / "results" / f"transactions-{begun:%Y-%m-%d}-{results['version']}.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    show(results, options.docs)
    print(f"\nresults: {path.relative_to(ROOT)}")
    return 1 if any("failed" in sample for sample in bench.samples) else 0


if __name__ == "__main__":
    sys.exit(main())
