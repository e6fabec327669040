"""The functions of Alluvium as Terraform would make them, end to end: `end_to_end.py ALLUVIUM FUNCTIONS`.

ALLUVIUM is the program, FUNCTIONS the folder with `ingest_lambda`, `reader_lambda` and `compactor_lambda`. What is made is what the
plan of terraform/examples/serverless says in its own JSON: bucket, functions with their settings, function URLs, schedule. It is made on
ministack, which runs the real binaries as Lambda does and is the S3 that they use. Then:

1. records come in through the function URL of `ingest`;
2. they are read through the function URL of `reader`, and by a Kafka client from a gateway (`alluvium serve`) on the same bucket;
3. what the gateway takes is read through the function;
4. the schedule fires the compactor, and the Parquet files have the same rows.

What the test changes about the plan: the functions are told where S3 is, the schedule is shorter, and the compactor's setting
`merge_age` with it. Nothing of AWS itself is tried.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import botocore.session
import pyarrow.parquet
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

import plan

REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
BUCKET = "alluvium-end-to-end"
TOPIC = "orders"
START_SECONDS_MAX = 60
# The shortest schedule is a minute.
SCHEDULE_SECONDS_MAX = 180
FORMAT = "application/vnd.kafka.binary.v2+json"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def outside() -> dict[str, str]:
    """The environment without what is meant for the test: functions refuse settings that mean nothing to them."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("ALLUVIUM_", "AWS_"))}


def eventually(what: str, seconds: float, condition):
    """Waits until `condition` gives something, and gives that."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds} s: {what}")
        time.sleep(0.2)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
        return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


class Cloud:
    """ministack, and what the plan made in it."""

    def __init__(self, scratch: Path) -> None:
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.log = scratch / "ministack.log"
        environment = outside() | CREDENTIALS | {
            "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "LAMBDA_EXECUTOR": "local", "TMPDIR": str(scratch),
        }
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "ministack")], env=environment, stdout=self.log.open("w"), stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        eventually("ministack answers", START_SECONDS_MAX, lambda: answers(self.endpoint))
        self.session = botocore.session.get_session()
        self.session.set_credentials("test", "test")
        self.urls: dict[str, str] = {}

    def client(self, service: str):
        return self.session.create_client(service, region_name=REGION, endpoint_url=self.endpoint)

    def make(self, planned: dict[str, list[dict]]) -> None:
        """Makes the planned resources that the functions need."""
        for bucket in planned["aws_s3_bucket"]:
            self.client("s3").create_bucket(
                Bucket=bucket["bucket"], CreateBucketConfiguration={"LocationConstraint": REGION}
            )
        role = self.client("iam").create_role(
            RoleName="functions", AssumeRolePolicyDocument=planned["aws_iam_role"][0]["assume_role_policy"]
        )["Role"]["Arn"]
        functions = self.client("lambda")
        ours = {
            "ALLUVIUM_ENDPOINT": self.endpoint, "ALLUVIUM_ALLOW_HTTP": "true",
            "ALLUVIUM_ACCESS_KEY_ID": "test", "ALLUVIUM_SECRET_ACCESS_KEY": "test", "ALLUVIUM_REGION": REGION,
        }
        # A hundred records are few: they wait six times as long.
        sooner = {"ALLUVIUM_MERGE_AGE": "5s"}
        compactor = plan.only(planned["aws_lambda_function"], "module.compactor.")["function_name"]
        for function in planned["aws_lambda_function"]:
            functions.create_function(
                FunctionName=function["function_name"], Runtime=function["runtime"], Handler=function["handler"], Role=role,
                Architectures=function["architectures"], MemorySize=function["memory_size"], Timeout=function["timeout"],
                Code={"ZipFile": Path(function["filename"]).read_bytes()},
                Environment={
                    "Variables": function["environment"][0]["variables"] | ours
                    | (sooner if function["function_name"] == compactor else {})
                },
            )
        for url in planned["aws_lambda_function_url"]:
            made = functions.create_function_url_config(
                FunctionName=url["function_name"], AuthType=url["authorization_type"], InvokeMode=url["invoke_mode"]
            )
            self.urls[url["function_name"]] = f"{self.endpoint}/_aws/lambda-url/{made['FunctionUrl'].split('//')[1].split('.')[0]}"
        for schedule in planned["aws_scheduler_schedule"]:
            [target], [window] = schedule["target"], schedule["flexible_time_window"]
            arn = functions.get_function(FunctionName=compactor)["Configuration"]["FunctionArn"]
            self.client("scheduler").create_schedule(
                # The planned interval is ten minutes, which is long for a test.
                Name=schedule["name"], ScheduleExpression="rate(1 minute)", State=schedule["state"],
                FlexibleTimeWindow={"Mode": window["mode"]},
                Target={"Arn": arn, "RoleArn": role, "Input": target["input"]},
            )

    def call(self, function: str, method: str, path: str, body=None, headers=None):
        """A request to a function URL, signed as its authorization type asks for: status and JSON."""
        data = None if body is None else json.dumps(body).encode()
        signed = AWSRequest(method, self.urls[function] + path, {"Content-Type": FORMAT, **(headers or {})}, data)
        SigV4Auth(self.session.get_credentials(), "lambda", REGION).add_auth(signed)
        request = urllib.request.Request(signed.url, data, dict(signed.headers), method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            return error.code, json.loads(text) if text.startswith("{") else text

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)


class Gateway:
    """`alluvium serve` on the bucket of the functions."""

    def __init__(self, program: str, store: str, cloud: Cloud, scratch: Path) -> None:
        self.program, self.address = program, f"127.0.0.1:{free_port()}"
        self.log = scratch / "gateway.log"
        self.process = subprocess.Popen(
            [program, "serve", "--store", store, "--endpoint", cloud.endpoint, "--allow-http", "--listen", self.address,
             "--peer-listen", "none", "--set", "compaction=false"],
            env=outside() | CREDENTIALS, stdout=self.log.open("w"), stderr=subprocess.STDOUT,
        )
        eventually("the gateway answers", START_SECONDS_MAX, lambda: self.run("topic", "list", check=False).returncode == 0)

    def run(self, *arguments: str, text: str | None = None, check: bool = True) -> subprocess.CompletedProcess:
        """A command of `alluvium`, which is a Kafka client."""
        command = [self.program, *arguments, "--bootstrap", self.address]
        return subprocess.run(command, input=text, text=True, capture_output=True, check=check)

    def values(self) -> list[str]:
        """All values of the topic, partition by partition."""
        lines = self.run("consume", TOPIC, "--offsets").stdout.splitlines()
        return sorted(lines)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def zipped(functions: Path, folder: Path) -> None:
    """Zips as `make functions` makes them, of the binaries that are there."""
    folder.mkdir()
    for name in ("ingest", "reader", "compactor"):
        stripped = folder / "bootstrap"
        subprocess.run(["strip", "-o", stripped, functions / f"{name}_lambda"], check=True)
        with zipfile.ZipFile(folder / f"{name}-x86_64.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.write(stripped, "bootstrap")
        stripped.unlink()


def expect(what: str, found, expected) -> None:
    if found != expected:
        raise SystemExit(f"FAIL {what}: {found!r} instead of {expected!r}")
    print(f"ok   {what}", flush=True)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def read_all(cloud: Cloud, function: str, cluster: str, partitions: int) -> list[tuple[int, int, str]]:
    """Everything, through the reader."""
    found = []
    for partition in range(partitions):
        offset = 0
        while True:
            path = f"/v3/clusters/{cluster}/topics/{TOPIC}/partitions/{partition}/records?offset={offset}&format=string"
            status, answer = cloud.call(function, "GET", path)
            if status != 200:
                raise SystemExit(f"FAIL reading {path}: {status} {answer}")
            records = answer["records"]
            if not records:
                break
            found += [(partition, record["offset"], record["value"]) for record in records]
            offset = records[-1]["offset"] + 1
    return found


def parquet_files(cloud: Cloud) -> list[str]:
    listed = cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [entry["Key"] for page in listed for entry in page.get("Contents", []) if entry["Key"].endswith(".parquet")]


def rows(cloud: Cloud, keys: list[str], scratch: Path) -> list[tuple[int, str]]:
    """Offsets and values in Parquet files."""
    found = []
    for number, key in enumerate(keys):
        file = scratch / f"{number}.parquet"
        cloud.client("s3").get_object(Bucket=BUCKET, Key=key)
        file.write_bytes(cloud.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())
        table = pyarrow.parquet.read_table(file, columns=["offset", "value"]).to_pylist()
        found += [(row["offset"], row["value"].decode()) for row in table if row["value"] is not None]
    return found


def play(cloud: Cloud, gateway: Gateway, ingest: str, reader: str, scratch: Path) -> None:
    gateway.run("topic", "create", TOPIC, "--partitions", "2")
    records = [{"value": encoded(f"order {number}"), "partition": number % 2} for number in range(100)]
    status, answer = cloud.call(ingest, "POST", f"/topics/{TOPIC}", {"records": records}, {"Idempotency-Key": "first hundred"})
    expect("the ingest function takes 100 records", (status, len(answer.get("offsets", answer))), (200, 100))
    again = cloud.call(ingest, "POST", f"/topics/{TOPIC}", {"records": records}, {"Idempotency-Key": "first hundred"})
    expect("the same request again is the same records", again, (status, answer))
    status, answer = cloud.call(ingest, "POST", f"/topics/{TOPIC}", {"records": "none"})
    expect("what is no request is refused in the proxy's shape", (status, sorted(answer)), (422, ["error_code", "message"]))

    cluster = cloud.call(reader, "GET", "/v3/clusters")[1]["data"][0]["cluster_id"]
    wanted = sorted((number % 2, number // 2, f"order {number}") for number in range(100))
    expect("the reader function gives them", read_all(cloud, reader, cluster, 2), wanted)
    kafka = sorted(line.split("\t")[-1] for line in gateway.values())
    expect("a Kafka client reads them from the gateway", kafka, sorted(value for _, _, value in wanted))

    gateway.run("produce", TOPIC, "--partition", "1", text="by Kafka\n")
    wanted = sorted([*wanted, (1, 50, "by Kafka")])
    expect("the reader function gives what the gateway took", read_all(cloud, reader, cluster, 2), wanted)

    # The last records of a partition may still be young when the first pass comes.
    expected = sorted((offset, value) for _, offset, value in wanted)
    merged = eventually(
        "the schedule fires the compactor and all rows are Parquet", SCHEDULE_SECONDS_MAX,
        lambda: (found := sorted(rows(cloud, parquet_files(cloud), scratch))) == expected and found,
    )
    expect("the Parquet files have the same rows", merged, expected)
    expect("the reader function reads them out of Parquet", read_all(cloud, reader, cluster, 2), wanted)
    expect("a Kafka client reads as much", len(gateway.values()), 101)


def main() -> None:
    program, functions = sys.argv[1], Path(sys.argv[2])
    scratch = Path(tempfile.mkdtemp(prefix="alluvium-functions-"))
    cloud = gateway = None
    try:
        zipped(functions, scratch / "packages")
        variables = {"bucket_name": BUCKET, "packages": str(scratch / "packages")}
        planned = plan.planned("serverless", variables, scratch)
        ingest, reader = (
            plan.only(planned["aws_lambda_function"], f"module.{name}.") for name in ("ingest", "reader")
        )
        cloud = Cloud(scratch)
        cloud.make(planned)
        gateway = Gateway(program, ingest["environment"][0]["variables"]["ALLUVIUM_STORE"], cloud, scratch)
        play(cloud, gateway, ingest["function_name"], reader["function_name"], scratch)
    except BaseException:
        for log in sorted(scratch.glob("*.log")):
            print(f"== the end of {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-40:]), flush=True)
        raise
    finally:
        for process in (gateway, cloud):
            if process is not None:
                process.stop()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    finally:
        # The stand-ins for providers have threads of their own.
        sys.stdout.flush()
