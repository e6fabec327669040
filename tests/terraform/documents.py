"""The tables of inputs and outputs in the README of each module: `documents.py [--write]`.

The tables stand between `<!-- inputs -->` and `<!-- /inputs -->`, and so for outputs. They are made from variables.tf and
outputs.tf, so that they cannot say anything else.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
# An argument, of several lines when it ends with an open bracket.
ENTRY = re.compile(r"^  (\w+)\s+= ([^\n]*[({\[]\n.*?^  \S[^\n]*|[^\n]*)$", re.MULTILINE | re.DOTALL)


def blocks(file: Path) -> list[tuple[str, dict[str, str]]]:
    """The blocks of a file by name, with their simple arguments."""
    text = file.read_text() if file.exists() else ""
    return [(name, {key: on_one_line(value) for key, value in ENTRY.findall(body)}) for _, name, body in BLOCK.findall(text)]


def on_one_line(value: str) -> str:
    """An object's type as it would stand in one line; what has one line stays."""
    first, *attributes, last = (line.strip() for line in (*value.split("\n"), ""))
    if not attributes:
        return first
    *attributes, closing = attributes
    return f"{first} {', '.join(' '.join(attribute.rstrip(',').split()) for attribute in attributes)} {closing}{last}"


def cell(text: str) -> str:
    return text.strip('"').replace('\\"', '"').replace("|", "\\|")


def inputs(module: Path) -> str:
    """The table of inputs."""
    rows = []
    for name, entries in blocks(module / "variables.tf"):
        default = "required" if "default" not in entries else "`" + cell(entries["default"]) + "`"
        kind = cell(entries["type"])
        rows.append(f"| `{name}` | `{kind}` | {default} | {cell(entries['description'])} |")
    return "\n".join(["| Input | Type | Default | Meaning |", "|---|---|---|---|", *rows])


def outputs(module: Path) -> str:
    """The table of outputs."""
    rows = [f"| `{name}` | {cell(entries['description'])} |" for name, entries in blocks(module / "outputs.tf")]
    return "\n".join(["| Output | Meaning |", "|---|---|", *rows])


def renewed(module: Path, text: str) -> str:
    """The README with its tables made anew."""
    for name, table in (("inputs", inputs(module)), ("outputs", outputs(module))):
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise LookupError(f"{begin} and {end} have to stand there once")
        head, rest = text.split(begin)
        text = head + begin + "\n" + table + "\n" + end + rest.split(end)[1]
    return text


def modules(source: Path) -> list[Path]:
    return sorted({file.parent for file in source.glob("**/modules/*/versions.tf")})


def check(source: Path) -> tuple[list[str], int]:
    """What does not fit, and how many were looked at."""
    failures = []
    for module in modules(source):
        readme = module / "README.md"
        try:
            if not readme.exists():
                failures.append(f"{module.name} has no README.md")
            elif renewed(module, readme.read_text()) != readme.read_text():
                failures.append(f"the tables of {module.name}/README.md are old: tests/terraform/documents.py --write")
        except (LookupError, KeyError) as error:
            failures.append(f"{module.name}: {error}")
    return failures + unknown_settings(source), len(modules(source))


def unknown_settings(source: Path) -> list[str]:
    """Settings in the modules that Alluvium does not have."""
    known = set(re.findall(r"`(ALLUVIUM_[A-Z_]+)`", (source.parent / "docs/reference/settings.md").read_text()))
    failures = []
    for file in source.rglob("main.tf"):
        given = set(re.findall(r"\b(ALLUVIUM_[A-Z_]+)\s+=", file.read_text()))
        failures += [f"{file.relative_to(source)} gives the setting {name}, which does not exist" for name in sorted(given - known)]
    return failures


def main() -> int:
    source = Path(__file__).resolve().parent.parent.parent / "terraform"
    if sys.argv[1:] == ["--write"]:
        for module in modules(source):
            readme = module / "README.md"
            readme.write_text(renewed(module, readme.read_text()))
        return 0
    failures, _ = check(source)
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
