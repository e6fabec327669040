"""Runs the programs of one suite one after another, passes their outcome lines on and sums up.

Invariants
1. Every program has a deadline; one that outlives it, or ends without its count, adds a failure.
2. Only processes started here are ended.
"""

import os
import re
import signal
import subprocess
import sys
import threading

COUNT = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")


def run_programs(programs, deadline_s=300.0):
    """Runs (name, command) pairs and returns the exit code of the suite."""
    passed = failed = skipped = 0
    for name, command in programs:
        counts, reason = _run_program(command, deadline_s)
        if counts is None:
            print(f"FAIL {name}/ends: {reason}", flush=True)
            counts = (0, 1, 0)
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0


def _run_program(command, deadline_s):
    """The counts of one program, or None with the reason why there are none."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", start_new_session=True)
    late = threading.Event()

    def end_late():
        late.set()
        end_group(process)

    timer = threading.Timer(deadline_s, end_late)
    timer.start()
    counts, outcomes = None, [0, 0, 0]
    for line in process.stdout:
        match = COUNT.match(line.strip())
        if match:
            counts = tuple(map(int, match.groups()))
            continue
        for index, word in enumerate(("ok ", "FAIL ", "skip ")):
            outcomes[index] += line.startswith(word)
        sys.stdout.write(line)
        sys.stdout.flush()
    code = process.wait()
    timer.cancel()
    end_group(process)
    if late.is_set():
        return _unfinished(outcomes, f"not done after {deadline_s:g} s")
    if counts is None:
        return _unfinished(outcomes, f"it ended with exit code {code} before its count")
    return counts, None


def _unfinished(outcomes, reason):
    """An unfinished program: its outcomes so far are lost in the sum, the failure says why."""
    return None, f"{reason} ({outcomes[0]} ok, {outcomes[1]} failed before)"


def end_group(process):
    """Ends a process that leads its own group, with all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
