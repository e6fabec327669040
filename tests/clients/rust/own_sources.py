"""Lays out the published sources of rdkafka and rskafka in the cache, each a workspace of its own.

Their test suites can then run against a broker of ours. Tests are taken as published. Of the
manifests only what tests do not need is dropped: benchmarks, examples and the crates only those use.
"""
import pathlib
import re
import shutil

DROPPED = {
    "rdkafka": {"async-std", "clap", "hdrhistogram", "smol"},
    "rskafka": {"criterion"},
}
WORKSPACE = "\n[workspace]\n\n[profile.dev]\ndebug = false\n"


def sections(manifest):
    """Splits a manifest into its [tables], in order, the lines before the first included."""
    return re.split(r"(?m)^(?=\[)", manifest)


def kept(dropped, section):
    header = section.split("\n", 1)[0]
    if header.startswith(("[[bench]]", "[[example]]", "[profile.")):
        return False
    match = re.match(r"\[dev-dependencies\.([^\]]+)\]", header)
    return not (match and match.group(1) in dropped)


def lay_out(metadata, target, locks):
    """Copies both crates, as `cargo metadata` of the suite found them, below `target`, with the locks kept here."""
    packages = {package["name"]: package for package in metadata["packages"]}
    ignored = shutil.ignore_patterns("examples", "benches", "Cargo.lock", "Cargo.toml.orig", ".cargo*", "rust-toolchain.toml")
    for crate, dropped in DROPPED.items():
        source = pathlib.Path(packages[crate]["manifest_path"]).parent
        folder = pathlib.Path(target) / crate
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder, ignore=ignored)
        manifest = folder / "Cargo.toml"
        manifest.chmod(0o644)
        parts = sections(manifest.read_text())
        manifest.write_text("".join(part for part in parts if kept(dropped, part)) + WORKSPACE)
        shutil.copyfile(pathlib.Path(locks) / f"{crate}-own-tests.lock", folder / "Cargo.lock")
