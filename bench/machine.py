"""What the bench says about the machine, and how loaded it is. No host name, no user, no path."""

import os
import platform
import subprocess
import sys
from contextlib import contextmanager


def _first(path, name):
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith(name):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "unknown"


def _version(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return (done.stdout + done.stderr).strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "unknown"


def describe(folder):
    """The machine, as the JSON and the page show it; `folder` is where the servers keep their data."""
    memory_kib = _first("/proc/meminfo", "MemTotal").split()[0]
    device = subprocess.run(["df", "--output=fstype", str(folder)], capture_output=True, text=True, check=False).stdout.split()
    return {
        "processors": os.cpu_count(),
        "processor": _first("/proc/cpuinfo", "model name"),
        "memory_gib": round(int(memory_kib) / 2**20, 1) if memory_kib.isdigit() else None,
        "system": f"{platform.system()} {platform.release()}",
        "file_system": device[-1] if device else "unknown",
        "disk_write_mib_per_second": _disk_speed(folder),
        "java": _version("java", "-version"),
        "python": platform.python_version(),
    }


def _disk_speed(folder):
    """MiB/s of one sequential write with a flush to the disk at the end: 256 MiB."""
    import time

    path, block = os.path.join(folder, "disk-speed"), os.urandom(1 << 20)
    begun = time.monotonic()
    with open(path, "wb") as file:
        for _ in range(256):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.monotonic() - begun
    os.unlink(path)
    return round(256 / seconds)


AWAKE = """
import os, sys
os.sched_setaffinity(0, [int(sys.argv[1])])
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def awake():
    """Keeps the processors from going to sleep while the block runs: waking one of a virtual machine takes up to milliseconds.

    On each runs a loop of the priority below all others (SCHED_IDLE, Linux), which whatever else wakes there replaces at once.
    """
    there = sorted(os.sched_getaffinity(0)) if hasattr(os, "SCHED_IDLE") else []
    loops = [subprocess.Popen([sys.executable, "-c", AWAKE, str(processor)]) for processor in there]
    try:
        yield
        if any(loop.poll() is not None for loop in loops):
            raise RuntimeError("a processor was not kept awake")
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def load():
    """Processes that ran or wanted to, over the last minute."""
    return round(os.getloadavg()[0], 2)


def busy_ticks():
    """Ticks that all processors together spent on work since the machine started."""
    with open("/proc/stat", encoding="utf-8") as file:
        user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, file.readline().split()[1:])
    return user + nice + system + irq + softirq


def process_cpu_seconds(pid):
    """Processor seconds that a process has used, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def process_rss_mib(pid):
    """Resident memory of a process in MiB."""
    return round(int(_first(f"/proc/{pid}/status", "VmRSS").split()[0]) / 1024, 1)
