"""Checks of terraform/ and deploy/ that need no cloud account: `check.py SCRATCH [CHECK...]`, called by `run`.

    deploy      the compose file and the Dockerfile hang together
    documents   the tables in the README of each module say what its files say
    format      terraform fmt
    validate    terraform validate of every module and example
    test        terraform test of every module and example, with mocked providers
    roles       nodes and the compactor with exactly the rights of their roles, against MinIO; needs ALLUVIUM_BIN and
                ALLUVIUM_TEST_MINIO_ENDPOINT, and is left out without them unless it is named
    checkov     checkov, offline, with the exceptions of checkov.yaml
    mutations   planted mistakes, each of which one of these checks must find

Invariants
1. Nothing is written into the checkout: everything runs on a copy.
2. Nothing is applied, and nothing but the package registries is asked.
3. A planted mistake that nothing finds is a failure, and so is one that cannot be planted any more.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import containers
import documents
import roles
from mutations import MUTATIONS, Mutation

from provider import schema, stand_in

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCE = ROOT / "terraform"
WORKERS = 2
CHECKS = ("deploy", "documents", "format", "validate", "test", "roles", "checkov", "mutations")
TERRAFORM_LEAST = (1, 9)


@dataclass
class Outcome:
    """What a check found."""

    name: str
    failures: list[str] = field(default_factory=list)
    count: int = 0

    def told(self) -> str:
        word = "ok  " if not self.failures else "FAIL"
        return f"{word} {self.name}: {self.count} checked, {len(self.failures)} failed"


class Terraform:
    """Terraform with stand-ins for its providers."""

    def __init__(self, reattach: str) -> None:
        self.command = terraform_command()
        self.environment = os.environ | {
            "TF_REATTACH_PROVIDERS": reattach, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1",
        }

    def run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([*self.command, *arguments], cwd=folder, env=self.environment, text=True, capture_output=True)


def terraform_command() -> list[str]:
    """The machine's own terraform when it is new enough, else the one that a Python package embeds."""
    embedded = [sys.executable, str(HERE / "embedded.py")]
    own = os.environ.get("ALLUVIUM_TERRAFORM") or shutil.which("terraform")
    if own is None or own == "embedded":
        return embedded
    told = subprocess.run([own, "version"], text=True, capture_output=True)
    found = re.search(r"v(\d+)\.(\d+)", told.stdout)
    if found is None or (int(found[1]), int(found[2])) < TERRAFORM_LEAST:
        return embedded
    return [own]


def kinds_used() -> dict[str, set[str]]:
    """Resources and data sources in the modules, by provider."""
    kinds: dict[str, set[str]] = {provider: set() for provider in schema.PACKAGES}
    for file in SOURCE.rglob("*.tf"):
        for data, kind in re.findall(r'^(resource|data) "(\w+)"', file.read_text(), re.MULTILINE):
            provider = kind.split("_")[0]
            if provider in kinds:
                kinds[provider].add(f"data.{kind}" if data == "data" else kind)
    return {provider: found for provider, found in kinds.items() if found}


def folders(tree: Path) -> list[Path]:
    """All modules and examples."""
    return sorted({file.parent for file in tree.rglob("versions.tf")})


def named(folder: Path, tree: Path) -> str:
    return str(folder.relative_to(tree))


def initialized(terraform: Terraform, tree: Path) -> list[str]:
    """Runs `terraform init` everywhere; says where it failed."""

    def one(folder: Path) -> str | None:
        result = terraform.run(folder, "init", "-backend=false", "-input=false", "-no-color")
        return None if result.returncode == 0 else f"{named(folder, tree)}: {result.stdout}{result.stderr}"

    with ThreadPoolExecutor(WORKERS) as pool:
        return [failure for failure in pool.map(one, folders(tree)) if failure]


def check_documents() -> Outcome:
    failures, count = documents.check(SOURCE)
    return Outcome("documents", failures, count)


def check_deploy() -> Outcome:
    failures, count = containers.check(ROOT / "deploy")
    return Outcome("deploy", failures, count)


def check_format(terraform: Terraform) -> Outcome:
    result = terraform.run(SOURCE, "fmt", "-check", "-recursive", "-diff", "-no-color")
    failures = [] if result.returncode == 0 else [result.stdout + result.stderr]
    return Outcome("format", failures, sum(1 for file in SOURCE.rglob("*.tf")))


def validate(terraform: Terraform, folder: Path) -> str | None:
    """What `terraform validate` has against a folder."""
    result = terraform.run(folder, "validate", "-no-color")
    return None if result.returncode == 0 else result.stdout + result.stderr


def check_validate(terraform: Terraform, tree: Path) -> Outcome:
    outcome = Outcome("validate")
    with ThreadPoolExecutor(WORKERS) as pool:
        for folder, failure in zip(folders(tree), pool.map(lambda folder: validate(terraform, folder), folders(tree))):
            outcome.count += 1
            if failure:
                outcome.failures.append(f"{named(folder, tree)}: {failure}")
    return outcome


def tested(terraform: Terraform, folder: Path) -> tuple[int, str | None]:
    """Runs a folder's tests: how many runs passed, and what failed."""
    result = terraform.run(folder, "test", "-no-color")
    passed = re.search(r"(\d+) passed, (\d+) failed", result.stdout)
    if passed is None:
        return 0, f"there are no results:\n{result.stdout}{result.stderr}"
    if int(passed[1]) == 0 and result.returncode == 0:
        return 0, "there are no tests"
    return int(passed[1]), None if result.returncode == 0 else result.stdout + result.stderr


def check_test(terraform: Terraform, tree: Path) -> Outcome:
    outcome = Outcome("test")
    with ThreadPoolExecutor(WORKERS) as pool:
        for folder, (passed, failure) in zip(folders(tree), pool.map(lambda folder: tested(terraform, folder), folders(tree))):
            outcome.count += passed
            if failure:
                outcome.failures.append(f"{named(folder, tree)}: {failure}")
    return outcome


def check_roles(terraform: Terraform, scratch: Path) -> Outcome:
    access = scratch / "roles" / "access"
    shutil.copytree(SOURCE / "modules" / "access", access)
    failures, count = roles.check(terraform, access, scratch / "roles")
    return Outcome("roles", failures, count)


def run_checkov(tree: Path) -> tuple[list[dict], int]:
    """Runs checkov: what failed, and how much was checked."""
    command = [os.environ["CHECKOV"], "--directory", str(tree), "--config-file", str(HERE / "checkov.yaml"), "--output", "json"]
    result = subprocess.run(command, text=True, capture_output=True, env=os.environ | {"CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false"})
    try:
        report = json.loads(result.stdout)
    except ValueError:
        raise SystemExit(f"checkov gives no report: {result.stdout}{result.stderr}") from None
    checked = report["summary"]["passed"] + report["summary"]["failed"]
    if report["summary"]["parsing_errors"] or not checked:
        raise SystemExit(f"checkov could not read the modules: {report['summary']}")
    return report["results"]["failed_checks"], checked


def check_checkov(tree: Path) -> Outcome:
    failed, checked = run_checkov(tree)
    failures = [f"{found['check_id']} {found['check_name']}: {found['resource']} in {found['file_path']}" for found in failed]
    return Outcome("checkov", failures, checked)


def planted(tree: Path, mutation: Mutation, place: Path) -> Path:
    """A copy of the tree with a mistake in it; gives the folder whose checks should find it."""
    shutil.copytree(tree, place, symlinks=True)
    file = place / mutation.file
    text = file.read_text()
    times = text.count(mutation.old)
    if times != 1 and not (mutation.every and times > 1):
        raise LookupError(f"what it replaces stands {times} times in {mutation.file}")
    file.write_text(text.replace(mutation.old, mutation.new))
    return place / (mutation.where or file.parent.relative_to(place))


def missed_by(terraform: Terraform, tree: Path, mutation: Mutation, place: Path) -> list[str]:
    """Which of the checks that should find the mistake do not."""
    try:
        folder = planted(tree, mutation, place)
    except LookupError as error:
        return [str(error)]
    missed = []
    if "validate" in mutation.by and validate(terraform, folder) is None:
        missed.append("validate does not find it")
    if "test" in mutation.by:
        _, failure = tested(terraform, folder)
        if failure is None:
            missed.append("test does not find it")
        elif "there are no results" in failure:
            missed.append(f"test does not even run: {failure}")
    return missed


def check_mutations(terraform: Terraform, tree: Path, scratch: Path) -> Outcome:
    outcome = Outcome("mutations", count=len(MUTATIONS))
    places = {mutation.name: scratch / f"planted-{number}" / "terraform" for number, mutation in enumerate(MUTATIONS)}
    with ThreadPoolExecutor(WORKERS) as pool:
        found = pool.map(lambda mutation: missed_by(terraform, tree, mutation, places[mutation.name]), MUTATIONS)
        for mutation, missed in zip(MUTATIONS, found):
            outcome.failures += [f"{mutation.name}: {reason}" for reason in missed]
    # One start of checkov for all: its paths tell the modules apart.
    gathered = scratch / "planted"
    for number, mutation in enumerate(MUTATIONS):
        if "checkov" in mutation.by and places[mutation.name].exists():
            module = (places[mutation.name] / mutation.file).parent
            shutil.copytree(module, gathered / f"planted-{number}", ignore=shutil.ignore_patterns("tests", ".terraform"))
    failed, _ = run_checkov(gathered)
    for number, mutation in enumerate(MUTATIONS):
        if "checkov" in mutation.by and not any(f"/planted-{number}/" in check["file_path"] for check in failed):
            outcome.failures.append(f"{mutation.name}: checkov does not find it")
    return outcome


def chosen(arguments: list[str]) -> tuple[str, ...]:
    unknown = set(arguments) - set(CHECKS)
    if unknown:
        raise SystemExit(f"there is no check {', '.join(sorted(unknown))}: {', '.join(CHECKS)}")
    if arguments:
        return tuple(arguments)
    if "ALLUVIUM_BIN" in os.environ and "ALLUVIUM_TEST_MINIO_ENDPOINT" in os.environ:
        return CHECKS
    print("skip roles: there is no ALLUVIUM_BIN or no ALLUVIUM_TEST_MINIO_ENDPOINT", flush=True)
    return tuple(check for check in CHECKS if check != "roles")


def main() -> int:
    scratch, checks = Path(sys.argv[1]), chosen(sys.argv[2:])
    cache = Path(os.environ["ALLUVIUM_CACHE"]) / "terraform"
    kinds = kinds_used()
    _servers, reattach = stand_in.serve({provider: schema.load(provider, used, cache) for provider, used in kinds.items()})
    terraform = Terraform(reattach)
    tree = scratch / "sound" / "terraform"
    shutil.copytree(SOURCE, tree, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    failures = initialized(terraform, tree) if {"validate", "test", "mutations"} & set(checks) else []
    outcomes = [Outcome("init", failures, len(folders(tree)))] if failures else []
    for check in () if failures else checks:
        outcomes.append({
            "deploy": check_deploy,
            "documents": check_documents,
            "format": lambda: check_format(terraform),
            "validate": lambda: check_validate(terraform, tree),
            "test": lambda: check_test(terraform, tree),
            "roles": lambda: check_roles(terraform, scratch),
            "checkov": lambda: check_checkov(tree),
            "mutations": lambda: check_mutations(terraform, tree, scratch),
        }[check]())
        for failure in outcomes[-1].failures:
            print(f"{check}: {failure}", flush=True)
        print(outcomes[-1].told(), flush=True)
    for outcome in outcomes if failures else ():
        print("\n".join(outcome.failures))
    return 1 if any(outcome.failures for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
