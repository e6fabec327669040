"""What a server keeps of a topic, as bytes on the local disk: the servers that bench/compaction compares, and what their folders hold.

Invariants
1. `raw` and `parquet` are the same log: the second is a copy of the first that `alluvium compact --once` has merged.
2. `parquet` has no run that is not a file, or the bench fails: `alluvium export` says so from the manifest.
3. Sizes are those of files, after the server was stopped: Kafka cuts the indexes that it had made room for.
4. What is read is in the page cache before the server starts, and memory has room for it.
"""

import json
import os
import shutil
import subprocess
import time
import urllib.request

from targets import AlluviumFolder, Kafka, _clean_environment, free_port

METRIC_TIMEOUT_S = 10
READ_BYTES = 8 << 20


class AlluviumLog(AlluviumFolder):
    """On a local folder, with metrics. `compaction` says whether it has the role."""

    name, label = "folder", "Alluvium, local folder"
    compaction = True
    # What the caller sets, as NAME=VALUE: of the node, not of `alluvium compact --once`.
    settings: tuple = ()

    def __init__(self, folder):
        super().__init__(folder)
        self.http_port = free_port()

    @property
    def data(self):
        """The folder that is its bucket."""
        return self.folder / "data"

    def arguments(self):
        role = f"compaction={'true' if self.compaction else 'false'}"
        asked = [part for setting in (role, *self.settings) for part in ("--set", setting)]
        return [*super().arguments(), "--http-listen", f"127.0.0.1:{self.http_port}", *asked]

    def metrics(self):
        """Its counters: name with labels to value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=METRIC_TIMEOUT_S) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))}

    def got_bytes(self):
        """Bytes that it has got from its store since its start."""
        counters = self.metrics()
        return sum(counters[f'alluvium_store_bytes_total{{operation="{name}"}}'] for name in ("get", "get_range"))

    def run_command(self, *arguments):
        """A subcommand of the binary on its store: what it printed and the processor seconds that it used."""
        command = [self.binary, *arguments, "--store", f"file://{self.data.absolute()}"]
        before = os.times()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_clean_environment())
        after = os.times()
        if done.returncode != 0:
            raise RuntimeError(f"alluvium {arguments[0]}: {' | '.join((done.stdout + done.stderr).splitlines()[-3:])}")
        return done.stdout, after.children_user + after.children_system - before.children_user - before.children_system

    def exported(self, topic):
        """The files of a topic and what is not in files, from the manifest."""
        return json.loads(self.run_command("export", topic, "--output", "json")[0])

    def retained_bytes(self, topic):
        """Bytes of the runs of a topic, and of the manifest: the newest checkpoint, which a stop writes, and the entries behind it."""
        listed = self.exported(topic)
        runs = sum(part["bytes"] for part in listed["files"] + listed["not_in_files"])
        checkpoint = max(self.data.glob("*/*/checkpoint/*"), key=lambda path: path.name)
        entries = [path for path in self.data.glob("*/*/log/*") if path.name > checkpoint.name]
        return runs + sum(path.stat().st_size for path in [checkpoint, *entries])

    def written_bytes(self):
        """Bytes by what they are, of all that is in the bucket: until its first hour is over nothing of it was deleted."""
        found = {"segments": 0, "parquet": 0, "entries": 0, "checkpoints": 0, "other": 0}
        rooms = {"segment": "segments", "topic": "parquet", "log": "entries", "checkpoint": "checkpoints"}
        for path in _files(self.data):
            parts = path.relative_to(self.data).parts
            found[rooms.get(parts[2], "other") if len(parts) > 2 else "other"] += path.stat().st_size
        return found


class AlluviumRaw(AlluviumLog):
    """Without the role: segments and entries as they were written."""

    name, label, compaction = "raw", "Alluvium, as written", False


class AlluviumParquet(AlluviumLog):
    """The same log, merged. Without the role, so that nothing but reading is measured."""

    name, label, compaction = "parquet", "Alluvium, Parquet", False

    def take_over(self, raw, topic):
        """Copies the log of a stopped `raw` and merges all of it; what merging cost."""
        self.prepare()
        shutil.copytree(raw.data, self.data)
        begun = time.monotonic()
        said, cpu_seconds = self.run_command("compact", "--once")
        seconds = time.monotonic() - begun
        left = self.exported(topic)["not_in_files"]
        if left:
            raise RuntimeError(f"after the merge there are runs that are not in files: {left}")
        return {"seconds": seconds, "cpu_seconds": cpu_seconds, "said": said.strip()}


class KafkaLog(Kafka):
    """Apache Kafka, and what its log directory holds."""

    @property
    def data(self):
        """Its log directory."""
        return self.folder / "broker/data"

    @staticmethod
    def got_bytes():
        """Nobody counts it."""

    def retained_bytes(self, topic):
        """Bytes of the segments of a topic with their indexes."""
        return sum(path.stat().st_size for part in self.data.glob(f"{topic}-[0-9]*") for path in _files(part))


def _files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def warm(target):
    """Reads all files of a stopped server once, so that they are in the page cache; how many bytes those are."""
    files = _files(target.data)
    size = sum(path.stat().st_size for path in files)
    with open("/proc/meminfo", encoding="utf-8") as file:
        available = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))
    if size > available * 0.7:
        raise RuntimeError(f"{size >> 20} MiB do not fit into the page cache of {available >> 20} MiB: choose a smaller --gib")
    for path in files:
        with open(path, "rb", buffering=0) as file:
            while file.read(READ_BYTES):
                pass
    return size
