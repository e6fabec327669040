"""The servers that are measured, each started and stopped the same way.

Invariants
1. Every server listens on 127.0.0.1 and is ended by the process id that it was started with, also when the bench fails.
2. A target's folder is empty at its first start in a round and stays for its restarts.
3. No ALLUVIUM_* setting of the caller reaches a server.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import wire
from machine import process_cpu_seconds, process_rss_mib
from request_counter import RequestCounter

SUPPORT = Path(__file__).resolve().parent.parent / "tests/support"
START_DEADLINE_S, STOP_DEADLINE_S = 120.0, 40.0
BUCKET, ACCESS_KEY, SECRET_KEY = "bench", "minioadmin", "minioadmin"


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _clean_environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ALLUVIUM_", "AWS_"))}
    return kept | more


class Target:
    """A server with one folder and one port. `start` leaves `start_seconds`: from starting the process to serving."""

    name, label = "", ""
    keeps_data = True

    def __init__(self, folder):
        self.folder, self.port, self.pid = Path(folder) / self.name, free_port(), None
        self.start_seconds = None

    def prepare(self):
        """What must be there before the first start."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def start(self):
        """Starts and waits until it serves."""
        raise NotImplementedError

    def stop(self, kill=False):
        """Ends it, with SIGKILL when `kill`, and waits for the end."""
        raise NotImplementedError

    def clear(self):
        """Ends everything and removes the folder."""
        self.stop(kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def rss_mib(self):
        """Resident memory of the server."""
        return process_rss_mib(self.pid)

    def cpu_seconds(self):
        """Processor seconds of the server (not of a store beside it) since its start."""
        return process_cpu_seconds(self.pid)


class Alluvium(Target):
    """The release binary; subclasses say on which store."""

    binary = ""

    def __init__(self, folder):
        super().__init__(folder)
        self.process = None

    def arguments(self):
        """Subcommand and store."""
        raise NotImplementedError

    def environment(self):
        """Variables of the process."""
        return _clean_environment()

    def start(self):
        command = [self.binary, *self.arguments(), "--listen", f"127.0.0.1:{self.port}"]
        with open(self.folder / "server.log", "ab") as log:
            begun = time.monotonic()
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment())
        self.pid = self.process.pid

        def serving():
            if self.process.poll() is not None:
                lines = (self.folder / "server.log").read_text(errors="replace").splitlines()
                raise RuntimeError(f"{self.name} ended while starting: {' | '.join(lines[-3:])}")
            return wire.serves(self.port)

        wire.wait_until(serving, START_DEADLINE_S)
        self.start_seconds = time.monotonic() - begun

    def stop(self, kill=False):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


class AlluviumFolder(Alluvium):
    """On a local folder, as `alluvium dev` serves it."""

    name, label = "folder", "Alluvium, local folder"

    def arguments(self):
        return ["dev", "--data", str(self.folder / "data")]


class AlluviumModel(Alluvium):
    """On the S3 model: latency and bandwidth of S3 in front of memory."""

    name, label = "s3-model", "Alluvium, S3 model"
    keeps_data = False

    def arguments(self):
        return ["serve", "--store", "model+memory://"]


class AlluviumMinio(Alluvium):
    """On MinIO on the same machine and disk. With `counting` its requests go through a RequestCounter."""

    name, label = "minio", "Alluvium, MinIO"

    def __init__(self, folder, counting=False):
        super().__init__(folder)
        self.minio_pid, self.endpoint, self.counting, self.counter = None, None, counting, None

    def prepare(self):
        super().prepare()
        started = subprocess.run(
            [SUPPORT / "minio", "start", self.folder / "minio", str(free_port())], check=True, stdout=subprocess.PIPE, text=True
        )
        self.endpoint, pid = started.stdout.split()
        self.minio_pid = int(pid)
        subprocess.run([SUPPORT / "minio", "bucket", self.endpoint, BUCKET], check=True)
        if self.counting:
            self.counter = RequestCounter(int(self.endpoint.rsplit(":", 1)[1]))
            self.endpoint = f"http://127.0.0.1:{self.counter.port}"

    def arguments(self):
        return ["serve", "--store", f"s3://{BUCKET}/bench", "--endpoint", self.endpoint]

    def environment(self):
        return _clean_environment(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY, AWS_REGION="us-east-1")

    def clear(self):
        self.stop(kill=True)
        if self.counter:
            self.counter.close()
            self.counter = None
        if self.minio_pid:
            subprocess.run([SUPPORT / "minio", "stop", str(self.minio_pid)], check=False)
            self.minio_pid = None
            time.sleep(1)
        shutil.rmtree(self.folder, ignore_errors=True)


class Kafka(Target):
    """Apache Kafka, broker and controller in one process, on the local disk, heap as its scripts set it (1 GiB)."""

    name, label = "kafka", "Apache Kafka, local disk"

    def start(self):
        # What `start` does once per folder (formatting it) is not the broker's start.
        data = self.folder / "broker"
        begun = time.monotonic()
        starting = subprocess.Popen(
            [SUPPORT / "kafka", "start", data, str(self.port)], stdout=subprocess.PIPE, text=True, env=_clean_environment(
                **{name: os.environ[name] for name in ("ALLUVIUM_CACHE", "ALLUVIUM_KAFKA_HEAP") if name in os.environ}
            )
        )
        try:
            wire.wait_until(lambda: starting.poll() not in (None, 0) or wire.serves(self.port), START_DEADLINE_S, 0.005)
            serving_at = time.monotonic()
            out, _ = starting.communicate(timeout=START_DEADLINE_S)
        except Exception:
            starting.kill()
            raise
        if starting.returncode != 0:
            raise RuntimeError("Kafka does not start")
        self.pid = int(out.split()[-1])
        began_at = time.monotonic() - _process_age_seconds(self.pid)
        self.start_seconds = serving_at - max(begun, began_at)

    def stop(self, kill=False):
        if self.pid is None:
            return
        if kill:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            wire.wait_until(lambda: not Path(f"/proc/{self.pid}/stat").exists(), STOP_DEADLINE_S, 0.02)
        subprocess.run([SUPPORT / "kafka", "stop", self.folder / "broker"], check=False)
        self.pid = None


def _process_age_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        start_ticks = int(file.read().rsplit(")", 1)[1].split()[19])
    with open("/proc/uptime", encoding="utf-8") as file:
        return float(file.read().split()[0]) - start_ticks / os.sysconf("SC_CLK_TCK")


TARGETS = {target.name: target for target in (Kafka, AlluviumFolder, AlluviumMinio, AlluviumModel)}
