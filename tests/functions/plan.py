"""What Terraform plans, from its own JSON: `planned(example, variables)` gives the resources of an example by kind.

Planned with the stand-ins of ../terraform, so without an account and without the providers.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "terraform"))

import check  # noqa: E402
from provider import schema, stand_in  # noqa: E402


def planned(example: str, variables: dict[str, str], scratch: Path) -> dict[str, list[dict]]:
    """The values of all resources that a plan of `terraform/examples/EXAMPLE` would make, by type."""
    cache = Path(os.environ["ALLUVIUM_CACHE"]) / "terraform"
    cache.mkdir(parents=True, exist_ok=True)
    schemas = {provider: schema.load(provider, used, cache) for provider, used in check.kinds_used().items()}
    _servers, reattach = stand_in.serve(schemas)
    terraform = check.Terraform(reattach)
    shutil.copytree(check.SOURCE, scratch / "terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    folder = scratch / "terraform" / "examples" / example
    given = [f"-var={name}={value}" for name, value in variables.items()]
    for arguments in (
        ["init", "-backend=false", "-input=false"],
        ["plan", "-input=false", "-refresh=false", "-out=plan", *given],
    ):
        result = terraform.run(folder, arguments[0], "-no-color", *arguments[1:])
        if result.returncode != 0:
            raise SystemExit(f"terraform {arguments[0]}: {result.stdout}{result.stderr}")
    shown = terraform.run(folder, "show", "-json", "plan")
    if shown.returncode != 0:
        raise SystemExit(f"terraform show: {shown.stderr}")
    by_kind: dict[str, list[dict]] = {}
    collect(json.loads(shown.stdout)["planned_values"]["root_module"], by_kind)
    return by_kind


def collect(module: dict, by_kind: dict[str, list[dict]]) -> None:
    for resource in module.get("resources", []):
        by_kind.setdefault(resource["type"], []).append(resource.get("values", {}) | {"address": resource["address"]})
    for child in module.get("child_modules", []):
        collect(child, by_kind)


def only(resources: list[dict], part: str) -> dict:
    """The one whose address has `part` in it."""
    found = [resource for resource in resources if part in resource["address"]]
    if len(found) != 1:
        raise SystemExit(f"{len(found)} resources have {part} in their address: {[r['address'] for r in resources]}")
    return found[0]
