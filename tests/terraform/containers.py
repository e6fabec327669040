"""deploy/ as far as it can be checked without a container engine: the compose file parses and hangs together, the Dockerfile keeps its
promises. Whether an image builds and containers run is not told by this."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

PINNED = re.compile(r".+:(?!latest$)[\w.-]+$")


def check(deploy: Path) -> tuple[list[str], int]:
    """What is wrong, and how many things were looked at."""
    compose = yaml.safe_load((deploy / "compose.yaml").read_text())
    failures = compose_failures(compose, deploy) + dockerfile_failures((deploy / "Dockerfile").read_text(), compose)
    failures += header_failures((deploy / "compose.yaml").read_text(), compose)
    for file in (*deploy.glob("prometheus/*.yml"), *deploy.glob("grafana/**/*.yaml")):
        if not isinstance(yaml.safe_load(file.read_text()), dict):
            failures.append(f"{file.name} is no mapping")
    return failures, len(compose["services"]) + 1


def compose_failures(compose: dict, deploy: Path) -> list[str]:
    services, volumes = compose["services"], set(compose.get("volumes") or {})
    failures, published = [], []
    for name, service in services.items():
        if "build" not in service and not PINNED.fullmatch(service["image"]):
            failures.append(f"{name}: the image {service['image']} has no fixed tag")
        for needed in service.get("depends_on", ()):
            if needed not in services:
                failures.append(f"{name} depends on {needed}, which does not exist")
        for needed, condition in dict_of(service.get("depends_on")).items():
            if condition.get("condition") == "service_healthy" and "healthcheck" not in services.get(needed, {}):
                failures.append(f"{name} waits for the health of {needed}, which has no check")
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith(".") and not (deploy / source).exists():
                failures.append(f"{name} mounts {source}, which does not exist")
            if not source.startswith((".", "/")) and source not in volumes:
                failures.append(f"{name} uses the volume {source}, which is not declared")
        for port in service.get("ports", ()):
            published.append(port.rsplit(":", 1)[0])
            if not port.startswith("127.0.0.1:"):
                failures.append(f"{name} publishes {port} to other machines")
        if "build" in service:
            failures += node_failures(name, service, deploy)
    doubled = {port for port in published if published.count(port) > 1}
    return failures + [f"{port} is published twice" for port in sorted(doubled)]


def header_failures(text: str, compose: dict) -> list[str]:
    """What the file's head tells people to do has to lead somewhere."""
    head = "".join(line for line in text.splitlines(keepends=True)[: text.splitlines().index("name: alluvium")])
    named = {*re.findall(r"127\.0\.0\.1:(\d+)", head), *re.findall(r", :(\d+)", head)}
    published = {port.split(":")[1] for service in compose["services"].values() for port in service.get("ports", ())}
    failures = [f"the head of compose.yaml names port {port}, which is not published" for port in sorted(named - published)]
    return failures + [f"the head of compose.yaml does not name port {port}" for port in sorted(published - named)]


def node_failures(name: str, service: dict, deploy: Path) -> list[str]:
    wanted = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
    failures = [f"{name}: {key} is not {value}" for key, value in wanted.items() if service.get(key) != value]
    root = (deploy / service["build"]["context"]).resolve()
    if not (root / service["build"]["dockerfile"]).is_file():
        failures.append(f"{name} is built by a Dockerfile that does not exist")
    inside = {port.rsplit(":", 1)[1] for port in service.get("ports", ())}
    for door, setting in (("Kafka clients", "ALLUVIUM_LISTEN"), ("the HTTP API", "ALLUVIUM_REST_LISTEN")):
        listened = set(re.findall(r"0\.0\.0\.0:(\d+)", service["environment"].get(setting, "")))
        if not listened & inside:
            failures.append(f"{name} publishes no port on which it listens for {door}")
    return failures


def dict_of(value) -> dict:
    return value if isinstance(value, dict) else {}


def dockerfile_failures(text: str, compose: dict) -> list[str]:
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line.split(None, 1) for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    stages = [argument for word, argument in lines if word == "FROM"]
    last = [line for line in lines[max(index for index, line in enumerate(lines) if line[0] == "FROM"):]]
    words = {word: argument for word, argument in last}
    promises = {
        "the base has no shell and no root": stages[-1].startswith("gcr.io/distroless/") and stages[-1].endswith(":nonroot"),
        "all bases have a tag": all(":" in stage.split()[0] for stage in stages),
        "the process is not root": words.get("USER") not in (None, "root", "0"),
        "nothing is run in the last stage": "RUN" not in words,
        "only the binary is copied": [argument for word, argument in last if word == "COPY"]
        == ["--from=build /alluvium /usr/local/bin/alluvium"],
        "the process gets signals itself": words.get("ENTRYPOINT", "").startswith("["),
        "SIGTERM ends it": words.get("STOPSIGNAL") == "SIGTERM",
        "nothing is fetched by ADD": all(word != "ADD" for word, _ in lines),
        "what cargo builds is locked": "--locked" in joined,
    }
    exposed = set(words.get("EXPOSE", "").split())
    listened = set(re.findall(r"=0\.0\.0\.0:(\d+)", words.get("ENV", "")))
    promises["all ports that are listened on are exposed"] = bool(listened) and listened <= exposed
    # A second and third node have Kafka ports of their own, so that their clients are told different addresses.
    promises["one node's published ports are exposed"] = any(
        {port.rsplit(":", 1)[1] for port in service.get("ports", ())} <= exposed
        for service in compose["services"].values() if "build" in service
    )
    return [f"Dockerfile: it does not hold that {promise}" for promise, holds in promises.items() if not holds]
