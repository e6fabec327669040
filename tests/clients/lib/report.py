"""One line a scenario on stdout, and the count at the end: the contract of every suite in tests/clients.

Invariants
1. A scenario has exactly one outcome, printed as soon as it is known.
2. A scenario that outlives its deadline fails; the suite goes on.
"""

import os
import signal
import sys
import time
import traceback


class Skip(Exception):
    """Raised by a scenario that cannot run here; the reason is the message."""


class DeadlinePassed(BaseException):
    """The scenario took too long. Not an Exception, so that no client library swallows it."""


class Report:
    """Runs scenarios of one client and counts their outcomes."""

    def __init__(self, client):
        self.client = client
        self.passed = self.failed = self.skipped = 0

    def run(self, scenario, action, deadline_s=45.0):
        """Runs `action` under a deadline and prints its outcome; the trace of a failure goes to stderr."""
        started = time.monotonic()
        previous = signal.signal(signal.SIGALRM, _raise_deadline)
        signal.setitimer(signal.ITIMER_REAL, deadline_s, 1.0)
        try:
            action()
        except Skip as reason:
            self._print("skip", scenario, reason)
        except DeadlinePassed:
            self._disarm(previous)
            traceback.print_exc()
            self._print("FAIL", scenario, f"not done after {deadline_s:g} s, at {_innermost_place()}")
        except Exception as error:
            self._disarm(previous)
            traceback.print_exc()
            self._print("FAIL", scenario, f"{type(error).__name__}: {error}")
        else:
            self._disarm(previous)
            self._print("ok", scenario)
            print(f"{self.client}/{scenario} took {time.monotonic() - started:.2f} s", file=sys.stderr)
        finally:
            self._disarm(previous)

    def skip(self, scenario, reason):
        """Counts a scenario that is not run."""
        self._print("skip", scenario, reason)

    def finish(self):
        """Prints the count and ends the process: 1 when anything failed. Threads of client libraries do not hold it up."""
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1 if self.failed else 0)

    def _disarm(self, previous):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)

    def _print(self, outcome, scenario, reason=None):
        if outcome == "ok":
            self.passed += 1
        elif outcome == "FAIL":
            self.failed += 1
        else:
            self.skipped += 1
        line = f"{outcome} {self.client}/{scenario}"
        if reason is not None:
            line += ": " + " ".join(str(reason).split())[:400]
        print(line, flush=True)


def _raise_deadline(_signal, _frame):
    raise DeadlinePassed()


def _innermost_place():
    frames = traceback.extract_tb(sys.exc_info()[2])
    place = next((frame for frame in reversed(frames) if "/tests/clients/" in frame.filename), frames[-1])
    return f"{os.path.basename(place.filename)}:{place.lineno} ({place.line})"
