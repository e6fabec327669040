"""bench/run: measures Alluvium and Apache Kafka side by side, prints a table, writes JSON, draws plots.

Each target gets the machine to itself in turn; every second round goes through the targets in the opposite order, so
that a slow drift of the machine hits all alike. A run that is ended by a signal still writes what it has.
"""

import argparse
import atexit
import datetime
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import machine
import report
from measurements import MEASUREMENTS, Run, measure_memory_after_load, measure_requests, warm_up
from stock_clients import FranzGo, JavaTools
from targets import SUPPORT, TARGETS, Alluvium, AlluviumMinio

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
KINDS = [*MEASUREMENTS, "requests"]


@dataclass(frozen=True)
class Sizes:
    """How much of everything is measured."""

    quick: bool
    records: int
    warmup_records: int
    paced_seconds: float
    paced_warmup_seconds: float
    idle_seconds: float
    idle_requests_seconds: int
    starts: int
    flushes: int


FULL = Sizes(
    quick=False, records=400_000, warmup_records=50_000, paced_seconds=20,
    paced_warmup_seconds=4, idle_seconds=5, idle_requests_seconds=30, starts=3, flushes=20,
)
QUICK = Sizes(
    quick=True, records=100_000, warmup_records=10_000, paced_seconds=5,
    paced_warmup_seconds=2, idle_seconds=1, idle_requests_seconds=5, starts=1, flushes=8,
)


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="less of everything, one round, under 3 minutes")
    parser.add_argument("--only", metavar="KIND,...", default="", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--targets", metavar="TARGET,...", default="", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--repeat", type=int, metavar="ROUNDS", help="rounds through all targets (default: 3, with --quick 1)")
    parser.add_argument("--records", type=int, help="most records of 1 KiB per throughput run (default: 400000, with --quick 100000)")
    parser.add_argument("--docs", action="store_true", help="also put the plots and the table into docs/performance")
    parser.add_argument("--show", metavar="JSON", help="measure nothing: table and plots of a results file")
    options = parser.parse_args(arguments)
    options.kinds = _chosen(parser, "--only", options.only, KINDS)
    options.target_names = _chosen(parser, "--targets", options.targets, list(TARGETS))
    options.rounds = options.repeat or (1 if options.quick else 3)
    return options


def _chosen(parser, flag, text, known):
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            parser.error(f"{flag}: {name} is none of {', '.join(known)}")
    return [name for name in known if name in names] if names else known


def find_binary():
    """$ALLUVIUM_BIN, or the release build made here."""
    if os.environ.get("ALLUVIUM_BIN"):
        return os.environ["ALLUVIUM_BIN"]
    target = os.environ.get("CARGO_TARGET_DIR") or str(Path(os.environ["ALLUVIUM_CACHE"]) / "target")
    subprocess.run(
        ["cargo", "build", "--release", "--package", "alluvium"], cwd=ROOT, check=True, env=os.environ | {"CARGO_TARGET_DIR": target}
    )
    return str(Path(target) / "release/alluvium")


class Bench:
    """Goes through rounds and targets and collects samples."""

    def __init__(self, options):
        self.options, self.sizes = options, QUICK if options.quick else FULL
        if options.records:
            self.sizes = Sizes(**{**self.sizes.__dict__, "records": options.records})
        parent = Path(os.environ["ALLUVIUM_CACHE"]) / "bench"
        self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
        self.samples, self.clients, self.current = [], None, None
        atexit.register(self.end)

    def end(self):
        """Nothing of a run outlives it."""
        if self.current is not None:
            self.current.clear()
            self.current = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self):
        """All rounds; returns the results."""
        Alluvium.binary = find_binary() if any(name != "kafka" for name in self.options.target_names) else ""
        self.clients = JavaTools(), FranzGo()
        begun, started_at = time.monotonic(), datetime.datetime.now(datetime.timezone.utc)
        described = machine.describe(self.folder)
        interrupted = False
        try:
            self._rounds()
        except (SystemExit, KeyboardInterrupt):
            interrupted = True
        return {
            "interrupted": interrupted,
            "date": started_at.isoformat(timespec="seconds"),
            "version": _version(),
            "given_binary": bool(os.environ.get("ALLUVIUM_BIN")),
            "kafka_version": subprocess.run([SUPPORT / "kafka", "version"], capture_output=True, text=True, check=True).stdout.strip(),
            "machine": described,
            "sizes": self.sizes.__dict__,
            "rounds": self.options.rounds,
            "took_seconds": round(time.monotonic() - begun),
            "samples": self.samples,
        }

    def _rounds(self):
        for number in range(self.options.rounds):
            names = self.options.target_names if number % 2 == 0 else self.options.target_names[::-1]
            for name in names:
                self.one(TARGETS[name](self.folder), number)
        if "requests" in self.options.kinds and "minio" in self.options.target_names:
            self.one(AlluviumMinio(self.folder, counting=True), 0, requests=True)

    def one(self, target, number, requests=False):
        """One target in one round."""
        print(f"round {number + 1}, {target.label}{', requests' if requests else ''}, load {machine.load()}", file=sys.stderr)
        self.current = target
        run = Run(target, number, self.sizes, self.clients, self.samples)
        try:
            target.prepare()
            target.start()
            if requests:
                self._measure(run, "requests", measure_requests)
            else:
                self._all(run)
        except Exception as error:
            run.failed("target", "start" if run.target.start_seconds is None else "run", error)
        finally:
            target.clear()
            self.current = None

    def _all(self, run):
        kinds = [kind for kind in self.options.kinds if kind != "requests"]
        if "footprint" in kinds:
            self._measure(run, "footprint", MEASUREMENTS["footprint"])
        if kinds != ["footprint"]:
            warm_up(run)
        for kind in kinds:
            if kind != "footprint":
                self._measure(run, kind, MEASUREMENTS[kind])
            if kind == "latency" and "footprint" in kinds:
                self._measure(run, "footprint", measure_memory_after_load)

    def _measure(self, run, kind, measurement):
        try:
            measurement(run)
        except Exception as error:
            run.failed(kind, "all", error)


def _version():
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main():
    """The program."""
    options = parse(sys.argv[1:])
    if options.show:
        report.show(report.load(options.show), docs=ROOT / "docs" if options.docs else None)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = Bench(options).run()
    path = report.write(results, HERE / "results")
    report.show(results, docs=ROOT / "docs" if options.docs else None)
    print(f"\nresults: {path.relative_to(ROOT)}")
    if results["interrupted"]:
        return 143
    return 1 if any("failed" in sample for sample in results["samples"]) else 0


if __name__ == "__main__":
    sys.exit(main())
