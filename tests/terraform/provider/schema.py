"""The schemas of Terraform providers, read from the bindings that are published for other languages.

Terraform checks a configuration against the schema that a provider tells it. Where the providers themselves cannot be had, this
module gets their schemas from the npm packages `@cdktf/provider-*`, which were generated from the same schemas: every argument
with its type, whether it is required, every block and how often it may stand.

What those packages do not tell: whether an optional argument is also computed (it is taken to be), and rules across arguments.
"""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {"aws": "@cdktf/provider-aws@21.22.1", "google": "@cdktf/provider-google@16.12.1"}
SCALARS = {"string": "string", "number": "number", "boolean": "bool"}
GETTERS = {
    "String": "string", "Number": "number", "Boolean": "bool", "List": ["list", "string"], "NumberList": ["list", "number"],
    "StringMap": ["map", "string"], "BooleanMap": ["map", "bool"], "NumberMap": ["map", "number"], "AnyMap": ["map", "string"],
}
ENTRY = re.compile(
    r'^\s+(?P<name>\w+): \{\n\s+value: .*?,\n\s+isBlock: (?P<block>\w+),\n'
    r'\s+type: "(?P<kind>\w+)",\n\s+storageClassType: "(?P<storage>\w+)"',
    re.MULTILINE | re.DOTALL,
)
FIELD = re.compile(r"^    readonly (\w+)(\??): (.*?);$", re.MULTILINE)
INTERFACE = re.compile(r"export interface (\w+)( extends cdktf\.TerraformMetaArguments)?[^{]*\{\n(.*?)\n\}", re.DOTALL)
STRUCT = re.compile(r"function (\w+)ToHclTerraform\(struct\) \{(.*?)\n\}", re.DOTALL)
READ_ONLY = re.compile(r"get \w+\(\) \{\n\s+return (?:cdktf\.Fn\.tolist\()?this\.get(\w+)Attribute\('(\w+)'\)")
READ_ONLY_OBJECT = re.compile(r"// (\w+) - computed: true, optional: false, required: false")


class UnreadableBinding(Exception):
    """The bindings of a type do not look as expected."""


@dataclass
class Field:
    """What the TypeScript side says of an argument."""

    required: bool
    many: bool


def fetch(provider: str, cache: Path) -> Path:
    """The package of a provider, downloaded once."""
    folder = cache / "bindings" / PACKAGES[provider].replace("/", "-").lstrip("@")
    found = list(folder.glob("*.tgz"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / "partial"
        partial.mkdir(exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", PACKAGES[provider]], cwd=partial, check=True, stdout=subprocess.DEVNULL)
        downloaded = next(partial.glob("*.tgz"))
        found = [downloaded.rename(folder / downloaded.name)]
    return found[0]


def folder_of(provider: str, kind: str) -> str:
    """The folder of the package that has a resource (`aws_sqs_queue`) or a data source (`data.aws_region`)."""
    if kind.startswith("data."):
        return "data-" + kind.removeprefix("data.").replace("_", "-")
    return kind.removeprefix(provider + "_").replace("_", "-")


def load(provider: str, kinds: set[str], cache: Path) -> dict:
    """The schema of a provider with these resources and data sources; a name that does not exist is left out."""
    wanted = {folder_of(provider, kind): kind for kind in kinds} | {"provider": "provider"}
    store = cache / "bindings" / f"{PACKAGES[provider].replace('/', '-').lstrip('@')}.json"
    known = json.loads(store.read_text()) if store.exists() else {}
    if any(folder not in known for folder in wanted):
        sources = extract(fetch(provider, cache), set(wanted))
        known |= {folder: sources.get(folder) for folder in wanted}
        partial = store.with_suffix(".partial")
        partial.write_text(json.dumps(known))
        partial.rename(store)
    schema = {"provider": {"version": 0, "block": block_of(known["provider"], True)}, "resources": {}, "data": {}}
    for folder, kind in wanted.items():
        if folder == "provider" or known[folder] is None:
            continue
        place = schema["data" if kind.startswith("data.") else "resources"]
        place[kind.removeprefix("data.")] = {"version": 0, "block": block_of(known[folder], False)}
    return schema


def extract(package: Path, folders: set[str]) -> dict[str, dict[str, str]]:
    """The sources of the named folders: code and declarations."""
    found: dict[str, dict[str, str]] = {}
    with tarfile.open(package, "r|gz") as archive:
        for member in archive:
            parts = member.name.split("/")
            if len(parts) == 4 and parts[1] == "lib" and parts[2] in folders and parts[3] in ("index.js", "index.d.ts"):
                stream = archive.extractfile(member)
                found.setdefault(parts[2], {})[parts[3]] = stream.read().decode() if stream else ""
    return found


def block_of(sources: dict[str, str], is_provider: bool) -> dict:
    """The top block of a type."""
    code, declarations = sources["index.js"], sources["index.d.ts"]
    interfaces, top = read_interfaces(declarations, is_provider)
    structs = {name.lower(): body for name, body in STRUCT.findall(code)}
    main = re.search(r"\n    synthesizeHclAttributes\(\) \{(.*?)\n    \}", code, re.DOTALL)
    if main is None:
        raise UnreadableBinding("there are no arguments")
    block = read_block(main[1], interfaces.get(top, {}), interfaces, structs)
    resource_class = code[max(code.rfind(" extends cdktf.TerraformResource"), code.rfind(" extends cdktf.TerraformDataSource")):]
    for getter, name in READ_ONLY.findall(resource_class):
        if getter in GETTERS and name not in block["attributes"] and name not in block["blocks"]:
            block["attributes"][name] = {"type": GETTERS[getter], "computed": True}
    for name in READ_ONLY_OBJECT.findall(resource_class):
        if name not in block["blocks"]:
            block["attributes"].setdefault(name, {"type": "dynamic", "computed": True})
    return block


def read_interfaces(declarations: str, is_provider: bool) -> tuple[dict[str, dict[str, Field]], str]:
    """Fields of all interfaces by their bare name, and the name of the interface with the top arguments."""
    interfaces: dict[str, dict[str, Field]] = {}
    top = ""
    for name, is_top, body in INTERFACE.findall(declarations):
        joined = re.sub(r"\{\n\s+\[key: string\]: ([^;]*);\n\s+\}", r"{ [key: string]: \1 }", body)
        fields = FIELD.findall(joined)
        interfaces[name] = {field.lower(): Field(mark != "?", "[]" in kind) for field, mark, kind in fields}
        if is_top or (is_provider and name.endswith("ProviderConfig")):
            top = name
    return interfaces, top


def read_block(body: str, fields: dict[str, Field], interfaces: dict, structs: dict[str, str]) -> dict:
    """A block from the code that writes it out."""
    block: dict = {"attributes": {}, "blocks": {}}
    for entry in ENTRY.finditer(body):
        name, kind, storage = entry["name"], entry["kind"], entry["storage"]
        field = fields.get(name.replace("_", ""), Field(False, False))
        if entry["block"] == "true":
            element = storage if kind == "struct" else re.sub(r"(List|Map|Set)$", "", storage)
            inner = structs.get(element.lower()) or structs.get(storage.lower())
            if inner is None:
                raise UnreadableBinding(f"block {name} has no struct {element}")
            inner_fields = interfaces.get(element) or interfaces.get(storage) or {}
            block["blocks"][name] = {
                "nesting": "single" if kind == "struct" else kind,
                "block": read_block(inner, inner_fields, interfaces, structs),
                "min_items": 1 if field.required and kind in ("list", "set") else 0,
                "max_items": 1 if not field.many and kind in ("list", "set") else 0,
            }
            continue
        if kind == "simple":
            value = SCALARS.get(storage, "string")
        else:
            value = [kind, SCALARS.get(re.sub(r"(List|Map|Set)$", "", storage), "dynamic")]
        block["attributes"][name] = {"type": value, "required": field.required, "optional": not field.required,
                                     "computed": not field.required}
    return block
