"""Runs Alluvium with exactly the rights of each role: behind a door (`allowed.py`) that lets through what the role's policy allows.

Whoever needs more than its policy grants fails here; what a policy grants and nobody uses is told, and must be on a list.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUCKET = "conformance"
WAIT_SECONDS = 90


class RoleFailure(Exception):
    """A role could not do its work."""


class Cluster:
    """A prefix of the bucket, reached with the rights of a role."""

    def __init__(self, policies: dict[str, str], prefix: str, scratch: Path) -> None:
        self.policies, self.prefix, self.scratch = policies, prefix, scratch
        self.program = os.environ["ALLUVIUM_BIN"]
        self.used: dict[str, list] = {}
        self.refused: dict[str, list] = {}

    @contextmanager
    def door(self, role: str):
        """The store's address for a role."""
        policy = self.scratch / f"{role}.json"
        policy.write_text(self.policies[role])
        command = [sys.executable, str(HERE / "allowed.py"), str(policy), BUCKET, os.environ["ALLUVIUM_TEST_MINIO_ENDPOINT"]]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)
            told = json.loads(process.communicate(timeout=WAIT_SECONDS)[0])
            self.used[role] = self.used.get(role, []) + told["used"]
            self.refused[role] = self.refused.get(role, []) + told["refused"]

    def environment(self, endpoint: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return kept | {
            "ALLUVIUM_STORE": f"s3://{BUCKET}/{self.prefix}", "ALLUVIUM_ENDPOINT": endpoint,
            "AWS_ACCESS_KEY_ID": "minioadmin", "AWS_SECRET_ACCESS_KEY": "minioadmin",
        }

    @contextmanager
    def node(self, role: str, **settings: str):
        """A node with the rights of a role; gives its address."""
        with self.door(role) as endpoint:
            environment = self.environment(endpoint) | {"ALLUVIUM_LISTEN": "127.0.0.1:0"} | settings
            process = subprocess.Popen([self.program, "serve"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                line = process.stdout.readline()
                found = re.search(r"127\.0\.0\.1:\d+", line)
                if found is None:
                    raise RoleFailure(f"a node with the rights of {role} does not start: {process.stderr.read()}")
                yield found[0]
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=WAIT_SECONDS)

    def ask(self, address: str, *arguments: str, given: str | None = None, patience: str = "30s") -> str:
        """A client's command."""
        command = [self.program, *arguments, "--bootstrap", address, "--timeout", patience]
        result = subprocess.run(command, text=True, capture_output=True, input=given, timeout=WAIT_SECONDS)
        if result.returncode != 0:
            raise RoleFailure(f"{' '.join(arguments)}: {result.stderr}")
        return result.stdout


def exercise_gateway(cluster: Cluster, role: str) -> None:
    """What clients ask of a node: small and large flushes, groups, idempotent producers."""
    with cluster.node(role, ALLUVIUM_INLINE_BYTES="64KiB") as address:
        cluster.ask(address, "topic", "create", f"{role}-events", "-p", "2")
        cluster.ask(address, "produce", f"{role}-events", "small", given="")
        cluster.ask(address, "produce", f"{role}-events", given="".join(f"{line:0>4000}\n" for line in range(200)))
        cluster.ask(address, "group", "reset-offsets", "readers", "-t", f"{role}-events", "--to-latest", "--execute")
        if cluster.ask(address, "consume", f"{role}-events").count("\n") != 201:
            raise RoleFailure(f"not all records come back with the rights of {role}")


def exercise_http(cluster: Cluster) -> None:
    """What the functions do: `ingest` takes records over HTTP, `reader` gives them and commits an offset. Each stands alone."""
    topic, kind = "http-events", "application/vnd.kafka.json.v2+json"
    alone = {"ALLUVIUM_PEER_LISTEN": "none", "ALLUVIUM_INLINE_BYTES": "64KiB"}
    with rest_node(cluster, "ingest", alone) as url:
        for size in (1, 1000):
            records = [{"value": "x" * 100, "partition": 0}] * size
            answer = asked(f"{url}/topics/{topic}", {"records": records}, kind)
            if any(offset["error_code"] for offset in answer["offsets"]):
                raise RoleFailure(f"ingest does not write: {answer}")
    with rest_node(cluster, "reader", alone) as url:
        identity = asked(f"{url}/v3/clusters")["data"][0]["cluster_id"]
        found = asked(f"{url}/v3/clusters/{identity}/topics/{topic}/partitions/0/records?offset=990&format=json")
        if found["high_watermark"] != 1001 or not found["records"]:
            raise RoleFailure(f"reader does not read what ingest wrote: {found}")
        position = {"offsets": [{"topic_name": topic, "partition_id": 0, "offset": 1001}]}
        asked(f"{url}/v3/clusters/{identity}/consumer-groups/readers/offsets", position, "application/json")


@contextmanager
def rest_node(cluster: Cluster, role: str, settings: dict[str, str]):
    """A node with the HTTP API; gives its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with cluster.node(role, **settings, ALLUVIUM_REST_LISTEN=f"127.0.0.1:{port}"):
        yield f"http://127.0.0.1:{port}"


def asked(url: str, document: dict | None = None, kind: str = "") -> dict:
    """An answer of the HTTP API."""
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, body, {"content-type": kind} if kind else {})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=WAIT_SECONDS) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise RoleFailure(f"{url}: {error.code} {error.read().decode()}") from None


def exercise_compactor(cluster: Cluster, role: str) -> None:
    """A compaction of everything that is there, with files of more than one part."""
    with cluster.door(role) as endpoint:
        environment = cluster.environment(endpoint) | {"ALLUVIUM_MERGE_AGE": "1s", "ALLUVIUM_GARBAGE_GRACE": "1m"}
        result = subprocess.run([cluster.program, "compact", "--once"], env=environment, text=True, capture_output=True, timeout=WAIT_SECONDS)
    if result.returncode != 0:
        raise RoleFailure(f"compact with the rights of {role}: {result.stderr}")
    if not any(action == "s3:PutObject" and "/topic/" in key for action, key in cluster.used[role]):
        raise RoleFailure(f"compact with the rights of {role} wrote no file: {result.stdout}{result.stderr}")


def policies_of(terraform, access: Path, prefix: str) -> dict[str, str]:
    """The policies as Terraform makes them; the module has no resources, so that it can be applied."""
    terraform.run(access, "init", "-input=false", "-no-color")
    variables = [f"-var=bucket_arn=arn:aws:s3:::{BUCKET}", f"-var=prefix={prefix}"]
    applied = terraform.run(access, "apply", "-auto-approve", "-input=false", "-no-color", *variables)
    if applied.returncode != 0:
        raise RoleFailure(applied.stdout + applied.stderr)
    return json.loads(terraform.run(access, "output", "-json", "policies").stdout)


def check(terraform, access: Path, scratch: Path) -> tuple[list[str], int]:
    """What roles could not do, or were refused; and how many kinds of requests there were."""
    prefix = f"roles-{uuid.uuid4()}"
    scratch.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(policies_of(terraform, access, prefix), prefix, scratch)
    failures = []
    try:
        exercise_http(cluster)
        exercise_gateway(cluster, "gateway")
        exercise_compactor(cluster, "compactor")
        exercise_gateway(cluster, "compacting_gateway")
    except RoleFailure as failure:
        failures.append(str(failure))
    for role, refused in cluster.refused.items():
        failures += [f"{role} was refused {action} on {key or 'the bucket'}" for action, key in refused]
    failures += blindness(cluster)
    return failures, sum(len(used) for used in cluster.used.values())


def blindness(cluster: Cluster) -> list[str]:
    """The door itself: a role without the right to write entries must fail."""
    crippled = json.loads(cluster.policies["gateway"])
    for statement in crippled["Statement"]:
        statement["Resource"] = [resource for resource in statement["Resource"] if "/log/" not in resource]
    lame = Cluster({"crippled": json.dumps(crippled)}, cluster.prefix, cluster.scratch)
    try:
        with lame.node("crippled") as address:
            lame.ask(address, "topic", "create", "crippled", patience="3s")
    except (RoleFailure, subprocess.TimeoutExpired):
        return [] if lame.refused["crippled"] else ["a node without rights fails, but was refused nothing"]
    return ["a node that may not write entries makes a topic: the door lets everything through"]
