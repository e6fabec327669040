"""bench/compaction: what it gains and costs that the retained log is Parquet, beside Apache Kafka. Prints a table and writes JSON.

    replay   MiB/s of one consumer that reads a topic from its first record on, and the processor time of the server: from Kafka, from
             Alluvium's segments as they were written, and from the Parquet files that they were merged into
    live     p50 and p99 at a live rate, in turns alone and while another consumer replays at five times that rate
    write    bytes written to the store for a byte of batches taken in, by the counters of the server, with default settings, then merged
    size     bytes that are kept: Parquet files and manifest beside Kafka's log directory

Records are orders as JSON of 1 KiB, keyed by customer, of which lz4 leaves about half, in 4 partitions, produced by franz-go without
compression and with lz4.

Invariants
1. As many records are in the topic as were produced, and every consumer reads exactly so many; franz-go sees each offset once, in order.
2. Before each reading the server is started anew and all of its files are in the page cache; then it serves a small topic once.
3. Servers take turns, in the opposite order every second round; while one is measured no other runs.
4. The counters of what was written agree with the files that are there, to one part in a hundred.
"""

import argparse
import atexit
import contextlib
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import machine
import report
import wire
from confluent_kafka.admin import AdminClient, NewTopic
from main import ROOT, _chosen, _version, find_binary
from measurements import MIB, RECORD_BYTES, Run
from retained import AlluviumLog, AlluviumParquet, AlluviumRaw, KafkaLog, warm
from stock_clients import FranzGo, JavaTools, librdkafka, librdkafka_paced
from targets import SUPPORT, Alluvium

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- compaction: begin -->", "<!-- compaction: end -->"
KINDS = ("replay", "live", "write", "size")
ORDER = ("replay", "replay cpu", "replay reads", "live", "live moved", "write", "size", "merge", "merge cpu", "fill")
COLUMNS = {"kafka": "Apache Kafka", "raw": "Alluvium, as written", "parquet": "Alluvium, Parquet", "folder": "Alluvium, writing and merging"}
COMPRESSIONS = ("none", "lz4")
TOPIC, WARM_UP, PARTITIONS = "orders", "warm-up", 4
REPLAYS_PER_LIVE = 5
# In this order, so that what changes slowly (the machine's other guests) meets both alike.
LIVE_STATES = ("alone", "with a replay", "with a replay", "alone")
TURN_SECONDS, SETTLE_SECONDS, LIVE_WARM_UP_SECONDS = 4, 0.5, 2
LIVE_MOVED_MAX = 1.10
# Fast enough for several merges of each partition, slow enough that they run beside it.
WRITE_BYTES_PER_SECOND = 32 * MIB
QUIET_S, QUIET_DEADLINE_S, TOLD_DEADLINE_S = 25, 900, 60
SLOWEST_BYTES_PER_SECOND = 4 * MIB
TIMES = "times"
# By default it asks for nothing for a second when its queue is full, which is a third of a reading, or nothing of it, by chance.
LIBRDKAFKA = {"fetch.queue.backoff.ms": 10}


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench/compaction", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="one round over a quarter of a GiB and 16 seconds of live load")
    parser.add_argument("--only", metavar="KIND,...", default="", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--gib", type=float, metavar="SIZE", help="GiB of record values in a topic (default: 2, with --quick 0.25)")
    parser.add_argument("--live-mib", type=float, metavar="MIB", default=4, help="MiB/s of the live load (default: 4)")
    parser.add_argument("--awake", action="store_true", help="keep the processors from going to sleep under the live load (Linux)")
    parser.add_argument("--rounds", type=int, metavar="COUNT", help="rounds through all targets (default: 3, with --quick 1)")
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting of Alluvium, may be repeated (default: its defaults)")
    parser.add_argument("--docs", action="store_true", help="also put the table into docs/performance.md")
    parser.add_argument("--show", metavar="JSON", help="measure nothing: the table of a results file")
    options = parser.parse_args(arguments)
    options.kinds = _chosen(parser, "--only", options.only, list(KINDS))
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.gib = options.gib or (0.25 if options.quick else 2)
    options.records = int(options.gib * 2**30 / RECORD_BYTES)
    options.warm_up_records = max(1, min(32_768, options.records // 8))
    options.live_seconds = TURN_SECONDS * len(LIVE_STATES) * (1 if options.quick else 8)
    options.timeout_s = 180 + int(options.gib * 2**30 / SLOWEST_BYTES_PER_SECOND)
    return options


class Bench:
    """Fills the servers, goes through rounds, and collects samples."""

    def __init__(self, options):
        self.options, self.samples, self.targets, self.kept = options, [], {}, {}
        self.folder = Path(tempfile.mkdtemp(prefix="compaction-", dir=Path(os.environ["ALLUVIUM_CACHE"]) / "bench"))
        self.franz, self.java = FranzGo(), JavaTools()
        atexit.register(self.end)

    def end(self):
        """Nothing of a run outlives it."""
        self.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self):
        """Ends all servers and removes their folders."""
        for target in self.targets.values():
            target.clear()
        self.targets = {}

    def run(self):
        """All kinds."""
        Alluvium.binary, AlluviumLog.settings = find_binary(), tuple(self.options.set)
        for compression in COMPRESSIONS:
            kinds = [kind for kind in self.options.kinds if kind in ("replay", "size") or (kind == "live" and compression == "none")]
            if kinds and self.part("fill", compression, "parquet", lambda: self.fill(compression)):
                self.of_filled(kinds, compression)
            self.clear()
            if "write" in self.options.kinds:
                self.part("write", compression, "folder", lambda: self.write(compression))
            self.clear()

    def of_filled(self, kinds, compression):
        """What is measured of one load."""
        if "size" in kinds:
            self.part("size", compression, "parquet", lambda: self.size(compression))
        for number in range(self.options.rounds):
            names = list(self.targets) if number % 2 == 0 else list(self.targets)[::-1]
            for name in names:
                run = self.run_of(self.targets[name], number)
                if "replay" in kinds:
                    self.replay(run, compression)
                if "live" in kinds and name != "raw":
                    self.part("live", compression, name, lambda: self.live(run))

    def part(self, kind, case, name, work):
        """Runs `work()`: whether it went well. What fails is recorded, all servers are stopped, and the next part runs."""
        try:
            work()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:400]
            self.samples.append({"kind": kind, "case": case, "target": name, "failed": reason})
            print(f"  {kind:<12} {case:<34} FAILED {reason}", file=sys.stderr)
            for target in self.targets.values():
                target.stop(kill=True)
            return False
        return True

    def run_of(self, target, number):
        """A round on a target."""
        return Run(target, number, None, (self.java, self.franz), self.samples)

    def topic(self, target, name, partitions):
        """Makes a topic."""
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{target.port}"})
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
        wire.wait_until(lambda: wire.end_offset(target.port, name, partitions - 1) is not None, 30, 0.01)

    def load(self, target, name, records, compression, rate=0):
        """Produces orders, and proves that so many are there."""
        self.topic(target, name, PARTITIONS)
        more = {"compression": compression, "bytes_per_second": rate, "timeout_seconds": self.options.timeout_s}
        found = self.franz.run("load", target.port, name, records, PARTITIONS, self.options.timeout_s, **more)
        self.prove_count(target, name, records)
        return found

    def prove_count(self, target, name, records):
        """Invariant 1, by the offsets, which a server that has just started may not tell yet."""
        ends = []

        def told():
            ends[:] = [wire.end_offset(target.port, name, partition) for partition in range(PARTITIONS)]
            return None not in ends

        wire.wait_until(told, TOLD_DEADLINE_S, 0.02)
        if sum(ends) != records:
            raise RuntimeError(f"{target.name}: {name} ends at {ends}, {records} records were produced")

    def fill(self, compression):
        """The same records into Kafka and into Alluvium, and what Alluvium wrote merged in a copy."""
        kafka, raw, parquet = (kind(self.folder) for kind in (KafkaLog, AlluviumRaw, AlluviumParquet))
        self.targets = {target.name: target for target in (kafka, raw, parquet)}
        for target in (kafka, raw):
            print(f"{target.label}: {self.options.gib:g} GiB, {compression}, load {machine.load()}", file=sys.stderr)
            target.prepare()
            target.start()
            self.load(target, WARM_UP, self.options.warm_up_records, compression)
            self.load(target, TOPIC, self.options.records, compression)
            target.stop()
        merged = parquet.take_over(raw, TOPIC)
        self.kept = {name: target.retained_bytes(TOPIC) for name, target in self.targets.items()}
        gib = (self.options.records + self.options.warm_up_records) * RECORD_BYTES / 2**30
        run = self.run_of(parquet, 0)
        run.sample("merge", f"compact --once, {compression}", gib * 1024 / merged["seconds"], "MiB/s", said=merged["said"])
        run.sample("merge cpu", f"compact --once, {compression}", merged["cpu_seconds"] / gib, "s/GiB")

    def size(self, compression):
        """Bytes that are kept of the topic."""
        for name, target in self.targets.items():
            kept = self.kept[name]
            self.run_of(target, 0).sample("size", f"{compression} producer, per GiB of values", kept / MIB / self.options.gib, "MiB", bytes=kept)

    def start_warm(self, target):
        """Starts a server with its files in the page cache and lets it serve a small topic once."""
        target.stop()
        warm(target)
        target.start()
        self.prove_count(target, TOPIC, self.options.records)
        self.franz.run("replay", target.port, WARM_UP, self.options.warm_up_records, PARTITIONS)

    def replay(self, run, compression):
        """One consumer after another, each on a server that was just started."""
        target, records, timeout_s = run.target, self.options.records, self.options.timeout_s
        clients = {
            "franz-go": lambda: run.franz.run("replay", target.port, TOPIC, records, PARTITIONS, timeout_s, timeout_seconds=timeout_s),
            "librdkafka": lambda: librdkafka(
                "consume", target.port, TOPIC, timeout_s, records=records, partitions=PARTITIONS, settings=LIBRDKAFKA, deadline_seconds=timeout_s
            ),
            "java": lambda: run.java.consume(target.port, TOPIC, records, timeout_s),
        }
        print(f"round {run.round + 1}, replay, {target.label}, {compression}, load {machine.load()}", file=sys.stderr)
        for name, client in clients.items():
            case = f"{name}, {compression}"
            self.part("replay", case, target.name, lambda: self.replay_once(run, case, client))
        target.stop()

    def replay_once(self, run, case, client):
        """One reading from the first record to the last."""
        self.start_warm(run.target)
        got = run.target.got_bytes()
        found, meter = run.measured(client)
        if found["records"] != self.options.records:
            raise RuntimeError(f"{found['records']} records were read, {self.options.records} were produced")
        run.sample("replay", case, found["bytes_per_second"] / MIB, "MiB/s", rss_mib=run.target.rss_mib())
        run.sample("replay cpu", case, meter.server_cpu_seconds / self.options.gib, "s/GiB")
        if got is not None:
            run.sample("replay reads", case, (run.target.got_bytes() - got) / self.kept[run.target.name], TIMES)

    def live(self, run):
        """The live load alone and with a replay beside it, in turns on one server."""
        target, options, rate = run.target, self.options, int(self.options.live_mib * MIB)
        print(f"round {run.round + 1}, live, {target.label}, load {machine.load()}", file=sys.stderr)
        self.start_warm(target)
        self.live_load(target, f"live-warm-up-{run.round}", rate, TURN_SECONDS)
        replay_rate = rate * REPLAYS_PER_LIVE
        turns = {"states": LIVE_STATES, "seconds": TURN_SECONDS, "settle_seconds": SETTLE_SECONDS}
        with self.franz.replaying(target.port, TOPIC, options.records, PARTITIONS, replay_rate, options.timeout_s) as (tell, replayed):
            enter = lambda state: tell("pause" if state == "alone" else "resume")
            found, _meter = run.measured(lambda: self.live_awake(target, f"live-{run.round}", rate, options.live_seconds, turns, enter))
        target.stop()
        if replayed["bytes_per_second"] < 0.9 * replay_rate:
            raise RuntimeError(f"the replay had {replayed['bytes_per_second'] / MIB:.1f} MiB/s in place of {replay_rate / MIB:.1f}")
        for what in ("end_to_end", "produce"):
            states, shown = found[what]["states"], what.replace("_", " ")
            for state, of_state in states.items():
                of_turns = [turn["p99"] for turn in of_state["turns"].values()]
                for quantile in ("p50", "p99"):
                    run.sample("live", f"{shown} {quantile}, {state}", of_state["latency_ms"][quantile], "ms", latency_ms=of_state["latency_ms"])
                run.sample("live", f"{shown} p99 of a turn, {state}", median(of_turns), "ms", of_turns=of_turns)
            for case, moved in _moved(*(states[state] for state in LIVE_STATES[:2])).items():
                run.sample("live moved", f"{shown} {case}, with a replay to alone", moved, TIMES)

    def live_awake(self, *load):
        """A live load, on processors that do not sleep if that was asked for."""
        with machine.awake() if self.options.awake else contextlib.nullcontext():
            return self.live_load(*load)

    def live_load(self, target, topic, rate, seconds, turns=None, enter=None):
        """The live load on a topic of its own; what its producer and its consumer measured."""
        self.topic(target, topic, 1)
        found = librdkafka_paced(target.port, topic, 1, rate, seconds, LIVE_WARM_UP_SECONDS, turns, enter)
        records = {what: found[what]["records"] for what in ("produce", "end_to_end")}
        if records["produce"] != records["end_to_end"]:
            raise RuntimeError(f"of the live records {records} were produced and read")
        return found

    def write(self, compression):
        """What a load makes the server write: records, merges, manifest."""
        target = self.targets["folder"] = AlluviumLog(self.folder)
        print(f"write, {target.label}, {compression}, load {machine.load()}", file=sys.stderr)
        target.prepare()
        target.start()
        self.load(target, TOPIC, self.options.records, compression, WRITE_BYTES_PER_SECOND)
        counters = _quiet(target)
        target.stop()
        by_role, on_disk = counters["alluvium_compaction_written_bytes_total"], target.written_bytes()
        segments, inline = (counters[f'alluvium_flush_bytes_total{{kind="{kind}"}}'] for kind in ("segment", "inline"))
        sent = sum(counters[f'alluvium_store_bytes_total{{operation="{name}"}}'] for name in ("put", "put_if_absent", "put_part"))
        for what, counted, there in (("parquet", by_role, on_disk["parquet"]), ("all", sent, sum(on_disk.values()))):
            if abs(counted - there) > max(0.01 * there, MIB):
                raise RuntimeError(f"counters say {counted:.0f} bytes of {what}, there are {there}")
        target.run_command("compact", "--once")
        merged = target.written_bytes()
        left = target.exported(TOPIC)["not_in_files"]
        if left:
            raise RuntimeError(f"after the merge there are runs that are not in files: {left}")
        taken_in = counters["alluvium_produce_record_bytes_total"]
        rows = {
            "batches, in segments and entries": segments + inline,
            "Parquet, by the role": by_role,
            "Parquet, by compact --once after it": merged["parquet"] - on_disk["parquet"],
            "manifest: entries without batches, checkpoints": sum(merged.values()) - merged["segments"] - merged["parquet"] - inline,
            "all": sum(merged.values()),
        }
        run = self.run_of(target, 0)
        more = {"taken_in_bytes": taken_in, "jobs": counters['alluvium_compaction_jobs_total{outcome="done"}']}
        for case, size in rows.items():
            run.sample("write", f"{compression}, {case}", size / taken_in, TIMES, bytes=size, **more)


def _quiet(target):
    """The counters when nothing has been merged or written for a while."""
    # A job is seen from its first read on.
    names = ("alluvium_compaction_jobs_total", *(f'alluvium_store_bytes_total{{operation="{name}"' for name in ("get", "get_range", "put_part")))
    begun = changed = time.monotonic()
    seen = None
    while time.monotonic() - changed < QUIET_S:
        counters = target.metrics()
        now = [value for name, value in counters.items() if name.startswith(names)]
        if now != seen:
            seen, changed = now, time.monotonic()
        if time.monotonic() - begun > QUIET_DEADLINE_S:
            raise TimeoutError(f"merging did not end within {QUIET_DEADLINE_S} s")
        time.sleep(1)
    return counters


def _moved(alone, with_replay):
    """How far a replay moves the p99: of all records, and of a turn against that beside it."""
    pairs = zip(*(sorted(state["turns"].items(), key=lambda turn: int(turn[0])) for state in (alone, with_replay)))
    ratios = [replayed["p99"] / quiet["p99"] for (_, quiet), (_, replayed) in pairs]
    return {"p99": with_replay["latency_ms"]["p99"] / alone["latency_ms"]["p99"], "p99 of a turn": median(ratios)}


def _middle(found, kind, case, target):
    entry = found.get((kind, case), {}).get(target)
    return median(entry["values"]) if entry and entry["values"] else None


def goals(results):
    """What was to be reached: (text, value, reached)."""
    found, judged = report.values(results), []
    for kind, case in found:
        parquet, kafka = (_middle(found, kind, case, name) for name in ("parquet", "kafka"))
        if kind == "replay" and parquet and kafka:
            judged.append((f"replay from Parquet, {case}: at least Kafka's", f"{parquet / kafka:.2f}x", parquet >= kafka))
    # Processors that sleep are slower to wake than a replay delays anything, so that only those that do not tell something.
    for name, label in (("parquet", "Alluvium"), ("kafka", "Kafka, to compare")) if results.get("awake") else ():
        moved = _middle(found, "live moved", "end to end p99, with a replay to alone", name)
        if moved:
            judged.append((f"live p99 with a replay, {label}: at most {LIVE_MOVED_MAX:g} times that alone", f"{moved:.2f}x", moved <= LIVE_MOVED_MAX))
    return judged


def rows(results):
    """The table: a heading and one row per case, with medians over the rounds, then the ratio to Kafka."""
    found = report.values(results)
    shown = [name for name in COLUMNS if any(name in targets for targets in found.values())]
    table = [["", "unit", *(COLUMNS[name] for name in shown)]]
    for (kind, case), targets in sorted(found.items(), key=lambda item: ORDER.index(item[0][0])):
        unit = next((entry["unit"] for entry in targets.values() if entry["unit"]), "")
        of_kafka = None if unit == TIMES else _middle(found, kind, case, "kafka")
        table.append([f"{kind}: {case}", unit, *(report.cell(targets.get(name), of_kafka, name == "kafka") for name in shown)])
    return table


def heading(results):
    """When, what and where."""
    described = results["machine"]
    busy, busiest = report.others(results)
    return (
        f"{results['date'][:10]}, Alluvium {results['version']}{' or a little before' if results['given_binary'] else ''}, "
        f"Apache Kafka {results['kafka_version']}; {described['processors']} processors ({described['processor']}), "
        f"{described['memory_gib']} GiB, {described['file_system']}, disk {described['disk_write_mib_per_second']} MiB/s; "
        f"{results['rounds']} round(s), {results['gib']:g} GiB in a topic, {results['live_mib']:g} MiB/s live for {results['live_seconds']} s; "
        f"{'processors kept awake; ' if results.get('awake') else ''}{''.join(f'with {setting}; ' for setting in results['settings'])}"
        f"other programs used {busy:.2f} processors (median; at most {busiest:.2f}){'; the run was cut short' if results['interrupted'] else ''}."
    )


def failures(results):
    """What has no number, and why."""
    return [f"failed: {sample['target']}, {sample['kind']}, {sample['case']}: {sample['failed']}" for sample in results["samples"] if "failed" in sample]


def write_page(results):
    """The part of docs/performance.md between the markers of compaction."""
    path = ROOT / "docs/performance.md"
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    judged = [["goal", "measured", ""], *([text, value, "reached" if reached else "**not reached**"] for text, value, reached in goals(results))]
    parts = [heading(results), "Medians over the rounds (lowest-highest), then the ratio to Kafka.", report.markdown(rows(results))]
    parts += [report.markdown(judged)] if len(judged) > 1 else []
    parts += ["\n".join(f"- {line}" for line in failures(results))]
    path.write_text(f"{before}{BEGIN}\n" + "\n\n".join(part for part in parts if part) + f"\n{END}{after}")


def show(results, docs):
    """Prints the table and the goals, and writes the page when asked to."""
    print(f"{heading(results)}\n\n{report.plain(rows(results))}\n")
    for text, value, reached in goals(results):
        print(f"{'reached    ' if reached else 'NOT REACHED'} {text}: {value}")
    print("\n".join(failures(results)))
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
    interrupted = False
    try:
        bench.run()
    except (SystemExit, KeyboardInterrupt):
        interrupted = True
    results = {
        "date": begun.isoformat(timespec="seconds"), "version": _version(), "given_binary": bool(os.environ.get("ALLUVIUM_BIN")),
        "kafka_version": subprocess.run([SUPPORT / "kafka", "version"], capture_output=True, text=True, check=True).stdout.strip(),
        "machine": described, "rounds": options.rounds, "kinds": options.kinds, "gib": options.gib, "records": options.records,
        "settings": options.set, "awake": options.awake, "live_mib": options.live_mib, "live_seconds": options.live_seconds, "interrupted": interrupted, "samples": bench.samples,
    }
    path = HERE / "results" / f"compaction-{begun:%Y-%m-%d}-{results['version']}.json"
    if path.exists():
        path = path.with_stem(f"{path.stem}-{begun:%H%M%S}")
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    show(results, options.docs)
    print(f"\nresults: {path.relative_to(ROOT)}")
    if interrupted:
        return 143
    return 1 if failures(results) else 0


if __name__ == "__main__":
    sys.exit(main())
