"""Starts, stops and restarts the servers that the suites run against.

A server is a folder with `server.json` (how it is started and stopped), `server.log`, and `pid` while it runs.
`python3 server_control.py restart FOLDER` is what SERVER_RESTART holds: SIGTERM, wait, the same command on the same
data, wait until it answers.

Invariants
1. Only the process whose id and start time were written down here is ever signalled.
2. A server that does not end within its deadline after SIGTERM is killed and the stop is an error.
3. Several processes may hold the same server; the folder is the only state.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

import wire

START_DEADLINE_S = 90
STOP_DEADLINE_S = 40


class ServerError(Exception):
    """The server did not start, did not end, or ended by itself."""


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """One server and its folder."""

    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "server.json"), encoding="utf-8") as file:
            self._spec = json.load(file)
        self.bootstrap = self._spec["bootstrap"]

    @classmethod
    def describe(cls, folder, bootstrap, command=None, environment=None, start=None, stop=None, compact=None):
        """A server run by `command`, or by a pair of commands that start and stop it themselves; `compact` and a topic compacts that."""
        os.makedirs(folder, exist_ok=True)
        spec = {"bootstrap": bootstrap, "command": command, "environment": environment or {}, "start": start, "stop": stop, "compact": compact}
        with open(os.path.join(folder, "server.json"), "w", encoding="utf-8") as file:
            json.dump(spec, file, indent=1)
        return cls(folder)

    @property
    def log(self):
        """The file with everything that the server printed."""
        return os.path.join(self.folder, "server.log")

    def start(self):
        """Starts the server and returns when it answers ApiVersions."""
        with open(self.log, "ab") as log:
            environment = {**os.environ, **self._spec["environment"]}
            if self._spec["start"]:
                done = subprocess.run(self._spec["start"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=START_DEADLINE_S * 3)
                if done.returncode:
                    raise ServerError(f"it did not start: {self.last_lines()}")
                return self._wait(lambda: True)
            process = subprocess.Popen(self._spec["command"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        with open(os.path.join(self.folder, "pid"), "w", encoding="utf-8") as file:
            json.dump([process.pid, start_time(process.pid)], file)
        return self._wait(lambda: process.poll() is None)

    def _wait(self, alive):
        if not wire.wait_until_serves(self.bootstrap, START_DEADLINE_S, alive):
            if alive():
                raise ServerError(f"it does not answer: {self.last_lines()}")
            os.remove(os.path.join(self.folder, "pid"))
            raise ServerError(f"it ended while starting: {self.last_lines()}")

    def stop(self):
        """SIGTERM, then waits until the process is gone."""
        if self._spec["stop"]:
            subprocess.run(self._spec["stop"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=STOP_DEADLINE_S * 2, check=False)
            return
        pid_file = os.path.join(self.folder, "pid")
        try:
            with open(pid_file, encoding="utf-8") as file:
                pid, started = json.load(file)
        except FileNotFoundError:
            return
        if start_time(pid) != started:
            os.remove(pid_file)
            raise ServerError(f"it ended by itself: {self.last_lines()}")
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + STOP_DEADLINE_S
        while start_time(pid) == started:
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                os.remove(pid_file)
                raise ServerError(f"it did not end within {STOP_DEADLINE_S} s after SIGTERM: {self.last_lines()}")
            time.sleep(0.02)
        os.remove(pid_file)

    def last_lines(self, count=3):
        """The end of the log, for messages."""
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return " | ".join(line.strip() for line in file.readlines()[-count:]) or "it printed nothing"
        except FileNotFoundError:
            return "it printed nothing"

    def restart_command(self):
        """The shell command for SERVER_RESTART."""
        return f"'{sys.executable}' '{os.path.abspath(__file__)}' restart '{self.folder}'"

    def compact_command(self):
        """The shell command for SERVER_COMPACT, without the topic; empty when the server has none."""
        return shlex.join(self._spec["compact"] or [])


def start_time(pid):
    """When the process started, in clock ticks since boot; None when it is gone or waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def main(arguments):
    """restart FOLDER."""
    if len(arguments) != 2 or arguments[0] != "restart":
        sys.exit("usage: server_control.py restart FOLDER")
    server = Server(arguments[1])
    try:
        server.stop()
        server.start()
    except ServerError as error:
        sys.exit(f"server: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
