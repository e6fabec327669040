"""Runs the test suites that rdkafka and rskafka ship, against the broker under test.

Each test of theirs is one line of ours, named CRATE/own/BINARY::TEST. Tests listed in own-tests.toml are
skipped with the reason given there. A test binary that outlives its deadline is killed, and each of its tests that
had not reported has failed.
"""
import concurrent.futures
import json
import os
import re
import subprocess

DEADLINE_S = 120
BINARIES_AT_A_TIME = 3
FEATURES = {"rdkafka": ["--features", "zstd"], "rskafka": []}
RESULT = re.compile(r"^test (\S+) \.\.\. (ok|FAILED|ignored)", re.MULTILINE)


def build(folder, crate, environment):
    """Builds the crate's integration tests; returns {binary name: executable}."""
    command = ["cargo", "test", "--locked", "--quiet", "--no-run", "--test", "*", "--message-format=json", *FEATURES[crate]]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        rendered = [json.loads(line).get("message", {}).get("rendered", "") for line in done.stdout.splitlines() if '"compiler-message"' in line]
        raise SystemExit(f"building the tests of {crate} failed:\n{''.join(rendered)}{done.stderr}")
    found = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["kind"] == ["test"]:
            found[message["target"]["name"]] = message["executable"]
    return found


def skips(listed, probe, reference):
    """The tests to skip here: {crate/binary::test: reason}."""
    node, partitions = probe
    chosen = dict(listed["always"])
    if not reference:
        chosen.update(listed["alluvium"])
    if partitions < 3:
        chosen.update(dict.fromkeys(listed["three_partitions"], f"needs topics made on first use to have 3 partitions, here {partitions}"))
    if node != 0:
        chosen.update(dict.fromkeys(listed["node_0"], f"needs the node id 0, here {node}"))
    return chosen


def reasons(output):
    """The first line of each panic by test name."""
    found = {}
    for match in re.finditer(r"^---- (\S+) stdout ----\n(.*?)(?=^---- |^failures:|\Z)", output, re.MULTILINE | re.DOTALL):
        lines = [line.strip() for line in match.group(2).splitlines() if line.strip() and "RUST_BACKTRACE" not in line]
        start = next((i for i, line in enumerate(lines) if "panicked at" in line), 0)
        found[match.group(1)] = " ".join(lines[start : start + 4])[:400]
    return found


def run_binary(crate, name, executable, folder, environment, skipped, only):
    """Runs one binary; returns lines of the report."""
    listing = subprocess.run([executable, "--list", "--format", "terse"], cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
    tests = [line.removesuffix(": test") for line in listing.splitlines() if line.endswith(": test")]
    lines, wanted, with_java = [], [], 0
    for test in tests:
        # Helpers shared between the files are a test in each of them.
        if test.split("::")[0] in ("utils", "tests"):
            continue
        full = f"{crate}/own/{name}::{test}"
        if only and not any(part in full for part in only):
            continue
        if crate == "rskafka" and "_java_" in test:
            with_java += 1
            continue
        reason = skipped.get(f"{crate}/{name}::{test}")
        if reason is None:
            wanted.append(test)
        else:
            lines.append(f"skip {full}: {reason}")
    if with_java:
        lines.append(f"skip {crate}/own/{name}::*_java_*: {with_java} tests, empty without TEST_JAVA_INTEROPT, which downloads jars by itself")
    if not wanted:
        return lines
    command = [executable, "--exact", "--test-threads=4", *wanted]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True, errors="replace")
    try:
        output, _ = process.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
    results, why = dict(RESULT.findall(output)), reasons(output)
    for test in wanted:
        full = f"{crate}/own/{name}::{test}"
        match results.get(test):
            case "ok":
                lines.append(f"ok {full}")
            case "ignored":
                lines.append(f"skip {full}: ignored by the crate itself")
            case "FAILED":
                lines.append(f"FAIL {full}: {why.get(test, 'no reason given')}")
            case _:
                lines.append(f"FAIL {full}: no result within {DEADLINE_S} s (exit code {process.returncode})")
    return lines


def run(own_folder, built, environment, skipped, only):
    """Runs all binaries, a few at a time; yields lines of the report."""
    environment = {
        **environment,
        "KAFKA_HOST": environment["BOOTSTRAP"],
        "KAFKA_VERSION": "4.2",
        "TEST_INTEGRATION": "1",
        "TEST_BROKER_IMPL": "kafka",
        "KAFKA_CONNECT": environment["BOOTSTRAP"],
        "RUST_LOG": "off",
    }
    with concurrent.futures.ThreadPoolExecutor(BINARIES_AT_A_TIME) as pool:
        pending = [
            pool.submit(run_binary, crate, name, executable, os.path.join(own_folder, crate), environment, skipped, only)
            for crate, binaries in built.items()
            for name, executable in sorted(binaries.items())
        ]
        for one in pending:
            yield from one.result()
