"""bench/functions: what the functions cost in time, requests and dollars. Prints a table and writes JSON.

Each function runs as in Lambda: a process that asks its runtime API for the next invocation. The runtime API is the one of this file,
one for each sandbox, since a sandbox has one invocation at a time. Events are those of function URLs.

    start        from starting the process to its first answer, on a local folder: no store latency, the binary's own share
    call         one record a call, one after another, on the S3 model: from invocation to the acknowledged record
    concurrent   1, 10 and 50 sandboxes that write to one shard at once, then 50 to 8 shards, 100 records a call, on the S3 model over
                 one folder; for longer than an invocation may take, so that one that starves is seen: it is refused, or gets few calls
    requests     1, 100 and 1,000 records a call, on MinIO behind a counting proxy: requests and dollars for a million records

Invariants: every record that is counted was acknowledged, and at the end they are there, with at most those beside them of which
nobody knew; a refused call is counted, and a sandbox that fails or answers anything else ends the bench.
"""

import argparse
import datetime
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

import machine
from main import ROOT, _version
from targets import ACCESS_KEY, BUCKET, SECRET_KEY, AlluviumMinio

KINDS = ("start", "call", "concurrent", "requests")
FUNCTIONS = ("ingest", "reader", "compactor")
TOPIC = "load"
VALUE = "x" * 1000
FORMAT = "application/vnd.kafka.json.v2+json"
ANSWER_SECONDS_MAX = 60
# What an invocation may take, and how long sandboxes race: three times as long, or with --quick just long enough to see that it works.
DEADLINE_SECONDS = 30
RACE_SECONDS, QUICK_RACE_SECONDS = 3 * DEADLINE_SECONDS, 10
# "Not written" and "nobody knows": what a function answers that did not get its turn in time.
NOT_WRITTEN, NOT_KNOWN = (50301, 50303), (50402,)
# Those of `alluvium cost`.
PRICES = tomllib.loads((ROOT / "cli/src/commands/cost/prices.toml").read_text())
MEMORY_GB = 0.5


class Sandbox:
    """One process of a function, and the runtime API that it asks."""

    def __init__(self, binary, store, **more):
        sandbox, self.events, self.answers, self.polled = self, Queue(), Queue(), threading.Event()

        class Api(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # A small answer in two packets waits for the other side's acknowledgement otherwise.
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_GET(self):
                sandbox.polled.set()
                event = sandbox.events.get()
                if event is None:
                    self.close_connection = True
                    return
                self.reply(200, event, {
                    "Lambda-Runtime-Aws-Request-Id": "1", "Lambda-Runtime-Trace-Id": "1",
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:1:function:f",
                    "Lambda-Runtime-Deadline-Ms": str(int((time.time() + DEADLINE_SECONDS) * 1000)),
                })

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) if "Content-Length" in self.headers else self.chunks()
                self.reply(202, b"", {})
                sandbox.answers.put((self.path.rsplit("/", 1)[1], body))

            def chunks(self):
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def reply(self, status, body, headers):
                self.send_response(status)
                for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_arguments):
                """The process was ended while it waited for its next invocation."""

        self.server = Server(("127.0.0.1", 0), Api)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ALLUVIUM_", "AWS_"))}
        environment |= {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}", "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512", "AWS_REGION": "us-east-1",
            "AWS_LAMBDA_LOG_GROUP_NAME": "g", "AWS_LAMBDA_LOG_STREAM_NAME": "s", "ALLUVIUM_STORE": store,
            "ALLUVIUM_LOG_FILTER": "warn", **more,
        }
        self.begun = time.monotonic()
        self.process = subprocess.Popen([binary], env=environment, stdout=subprocess.DEVNULL)

    def invoke(self, event):
        """An invocation: its answer and how long it took."""
        begun = time.monotonic()
        self.events.put(json.dumps(event).encode())
        kind, body = self.answers.get(timeout=ANSWER_SECONDS_MAX)
        if kind != "response":
            raise SystemExit(f"bench: a function failed: {body[:500]!r}")
        return json.loads(body), time.monotonic() - begun

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.events.put(None)
        self.server.shutdown()
        self.server.server_close()


def http_event(method, path, body=None):
    """What a function URL makes of a request."""
    path, _, query = path.partition("?")
    return {
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": {"content-type": FORMAT, "host": "f.lambda-url.us-east-1.on.aws"}, "isBase64Encoded": False,
        "requestContext": {
            "accountId": "anonymous", "apiId": "f", "domainName": "f.lambda-url.us-east-1.on.aws", "domainPrefix": "f", "requestId": "1",
            "routeKey": "$default", "stage": "$default", "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 0,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "bench"},
        },
        **({} if body is None else {"body": json.dumps(body)}),
    }


def produce_event(count, partition=0):
    return http_event("POST", f"/topics/{TOPIC}/partitions/{partition}", {"records": [{"value": VALUE}] * count})


def outcome(answer, count):
    """What became of a call's records: "acknowledged", "not written" or "not known"; anything else ends the bench."""
    body = json.loads(answer["body"])
    offsets = body.get("offsets", [])
    if answer["statusCode"] == 200 and len(offsets) == count:
        codes = {offset.get("error_code") for offset in offsets}
    else:
        codes = {body.get("error_code")}
    if codes == {None} and answer["statusCode"] == 200 and len(offsets) == count:
        return "acknowledged"
    if codes and codes <= set(NOT_WRITTEN):
        return "not written"
    if codes and codes <= set(NOT_WRITTEN + NOT_KNOWN):
        return "not known"
    raise SystemExit(f"bench: not acknowledged: {answer}")


def acknowledged(answer, count):
    """All records of a call are acknowledged; anything else ends the bench."""
    if outcome(answer, count) != "acknowledged":
        raise SystemExit(f"bench: not acknowledged: {answer}")


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Bench:
    """Goes through the kinds and collects samples."""

    def __init__(self, options):
        self.options, self.samples = options, []
        self.folder = Path(tempfile.mkdtemp(prefix="functions-", dir=Path(os.environ["ALLUVIUM_CACHE"]) / "bench"))
        self.binaries = {name: str(options.binaries / f"{name}_lambda") for name in FUNCTIONS}

    def sample(self, kind, name, value, unit):
        self.samples.append({"kind": kind, "name": name, "value": round(value, 4), "unit": unit, "load": machine.load()})
        print(f"{kind:11} {name:58} {value:12.3f} {unit}", flush=True)

    def create_topic(self, store, partitions=1, **environment):
        """Makes the topic through a node, which is gone afterwards."""
        sandbox = Sandbox(self.binaries["ingest"], store, ALLUVIUM_DEFAULT_PARTITIONS=str(partitions), **environment)
        acknowledged(sandbox.invoke(produce_event(1))[0], 1)
        sandbox.stop()

    def start(self):
        """Cold starts."""
        store = f"file://{self.folder}/start"
        self.create_topic(store)
        events = {
            "ingest": produce_event(1), "compactor": {"source": "schedule"},
            "reader": http_event("GET", f"/topics/{TOPIC}/partitions/0/offsets"),
        }
        for name in FUNCTIONS:
            polled, answered = [], []
            for _ in range(5 if self.options.quick else 20):
                sandbox = Sandbox(self.binaries[name], store)
                sandbox.polled.wait(ANSWER_SECONDS_MAX)
                polled.append(time.monotonic() - sandbox.begun)
                sandbox.stop()
                sandbox = Sandbox(self.binaries[name], store)
                sandbox.invoke(events[name])
                answered.append(time.monotonic() - sandbox.begun)
                sandbox.stop()
            self.sample("start", f"{name}: process to first poll, p50", statistics.median(polled) * 1000, "ms")
            self.sample("start", f"{name}: process to first answer, p50", statistics.median(answered) * 1000, "ms")

    def call(self):
        """One record a call."""
        store = f"model+file://{self.folder}/call"
        self.create_topic(store)
        sandbox = Sandbox(self.binaries["ingest"], store)
        took = []
        for _ in range(40 if self.options.quick else 400):
            answer, seconds = sandbox.invoke(produce_event(1))
            acknowledged(answer, 1)
            took.append(seconds)
        sandbox.stop()
        for share, name in ((0.5, "p50"), (0.99, "p99")):
            self.sample("call", f"ingest, 1 record of 1 KB, S3 model, {name}", quantile(took[1:], share) * 1000, "ms")

    def concurrent(self):
        """Sandboxes that race for one shard."""
        seconds = QUICK_RACE_SECONDS if self.options.quick else RACE_SECONDS
        for number, shards in ((1, 1), (10, 1), (50, 1), (50, 8)):
            self.race(number, shards, 100, seconds)

    def race(self, number, shards, count, seconds):
        """So many sandboxes, each with a partition of its own."""
        case, store = f"{number} sandboxes, {shards} shards", f"model+file://{self.folder}/concurrent-{number}-{shards}"
        self.create_topic(store, partitions=number, ALLUVIUM_SHARDS=str(shards))
        sandboxes = [Sandbox(self.binaries["ingest"], store) for _ in range(number)]
        with ThreadPoolExecutor(number) as pool:
            # The first call of each opens the log; who is refused here has opened it all the same.
            first = list(pool.map(lambda pair: outcome(pair[1].invoke(produce_event(count, pair[0]))[0], count), enumerate(sandboxes)))
            end = time.monotonic() + seconds

            def write(pair):
                calls, (partition, sandbox) = [], pair
                while time.monotonic() < end:
                    answer, call_seconds = sandbox.invoke(produce_event(count, partition))
                    calls.append((outcome(answer, count), call_seconds))
                return calls

            begun = time.monotonic()
            of_sandboxes = list(pool.map(write, enumerate(sandboxes)))
            spent = time.monotonic() - begun
        for sandbox in sandboxes:
            sandbox.stop()
        ended = [what for calls in of_sandboxes for what, _ in calls]
        done = [sum(what == "acknowledged" for what, _ in calls) for calls in of_sandboxes]
        took = [call_seconds for calls in of_sandboxes for _, call_seconds in calls]
        # And the record that made the topic.
        self.check_there(store, number, count, first + ended, 1)
        self.sample("concurrent", f"{case}, {count} records a call", sum(done) * count / spent, "records/s")
        self.sample("concurrent", f"{case}, a call, p50", quantile(took, 0.5) * 1000, "ms")
        self.sample("concurrent", f"{case}, a call, p99", quantile(took, 0.99) * 1000, "ms")
        self.sample("concurrent", f"{case}, a call, longest", max(took) * 1000, "ms")
        self.sample("concurrent", f"{case}, fewest calls of a sandbox", min(done), "calls")
        self.sample("concurrent", f"{case}, most calls of a sandbox", max(done), "calls")
        self.sample("concurrent", f"{case}, refused: not written", ended.count("not written"), "calls")
        self.sample("concurrent", f"{case}, refused: nobody knows", ended.count("not known"), "calls")

    def check_there(self, store, partitions, count, ended, more):
        """As many records are there as were acknowledged, and at most those beside them of which nobody knew."""
        sandbox = Sandbox(self.binaries["reader"], store)
        there = 0
        for partition in range(partitions):
            answer, _ = sandbox.invoke(http_event("GET", f"/topics/{TOPIC}/partitions/{partition}/offsets"))
            if answer["statusCode"] != 200:
                raise SystemExit(f"bench: no offsets: {answer}")
            there += json.loads(answer["body"])["end_offset"]
        sandbox.stop()
        least = ended.count("acknowledged") * count + more
        if not least <= there <= least + ended.count("not known") * count:
            raise SystemExit(f"bench: {there} records are there, {least} were acknowledged")

    def requests(self):
        """Requests of the store for a million records."""
        minio = AlluviumMinio(self.folder / "minio", counting=True)
        minio.prepare()
        environment = {
            "ALLUVIUM_ENDPOINT": minio.endpoint, "ALLUVIUM_ALLOW_HTTP": "true", "ALLUVIUM_ACCESS_KEY_ID": ACCESS_KEY,
            "ALLUVIUM_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        try:
            store = f"s3://{BUCKET}/functions"
            self.create_topic(store, **environment)
            sandbox = Sandbox(self.binaries["ingest"], store, **environment)
            acknowledged(sandbox.invoke(produce_event(1))[0], 1)
            for count in (1, 100, 1000):
                calls = 30 if self.options.quick else 100
                minio.counter.take()
                took = []
                for _ in range(calls):
                    answer, seconds = sandbox.invoke(produce_event(count))
                    acknowledged(answer, count)
                    took.append(seconds)
                counted = minio.counter.take()
                self.cost(count, calls, counted, statistics.median(took))
            sandbox.stop()
        finally:
            minio.clear()

    def cost(self, count, calls, counted, seconds):
        puts = sum(number for kind, number in counted.items() if kind.startswith("PUT") or kind == "LIST")
        gets, calls_million = counted.get("GET", 0), 1e6 / count
        self.sample("requests", f"{count} records a call: PUT and LIST a call", puts / calls, "requests")
        self.sample("requests", f"{count} records a call: GET a call", gets / calls, "requests")
        requests, functions = PRICES["requests"], PRICES["functions"]
        store = calls_million * (puts / calls / 1000 * requests["put"] + gets / calls / 1000 * requests["get"])
        # The time of a call on S3 itself is that of the S3 model's PUT rather than of the store beside us.
        compute = calls_million * (functions["request_million"] / 1e6 + max(seconds, 0.05) * MEMORY_GB * functions["gibibyte_second"])
        self.sample("requests", f"{count} records a call: S3, a million records", store, "$")
        self.sample("requests", f"{count} records a call: Lambda, a million records", compute, "$")


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench/functions", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer starts and calls")
    parser.add_argument("--only", metavar="KIND,...", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--binaries", type=Path, metavar="FOLDER", help="where ingest_lambda, ... are (default: builds them as `make functions` does)")
    options = parser.parse_args(arguments)
    options.kinds = options.only.split(",")
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"there is no kind {', '.join(sorted(unknown))}")
    return options


def built():
    """The functions as they are released."""
    subprocess.run([ROOT / "functions" / "package"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "x86_64-unknown-linux-gnu" / "function"


def main():
    options = parse(sys.argv[1:])
    options.binaries = options.binaries or built()
    bench = Bench(options)
    try:
        for kind in options.kinds:
            getattr(bench, kind)()
    finally:
        shutil.rmtree(bench.folder, ignore_errors=True)
    now = datetime.datetime.now(datetime.UTC)
    path = ROOT / "bench" / "results" / f"functions-{now:%Y-%m-%d}-{_version()}.json"
    results = {"date": f"{now:%Y-%m-%dT%H:%M:%S+00:00}", "version": _version(), "quick": options.quick}
    results |= {"machine": machine.describe(path.parent), "samples": bench.samples}
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
