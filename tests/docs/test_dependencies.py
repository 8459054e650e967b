"""docs/dependencies.md has a row for every direct dependency; every licence is one that deny.toml allows."""

import json
import re
import subprocess
import tomllib
from typing import Any

import pytest

from tests.harness import ROOT

DOCUMENT = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")


def section(name: str) -> set[str]:
    """The names in the section's list."""
    _, _, rest = DOCUMENT.partition(f"\n## {name}\n")
    return set(re.findall(r"^- `([\w-]+)`[ :]", rest.partition("\n## ")[0], re.MULTILINE))


def toml(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


def dependencies(path: str, *tables: str) -> set[str]:
    manifest = toml(path)
    return {name for table in tables for name in manifest.get(table, {})}


IN_THE_WHEEL = ["Cargo.toml", "core/Cargo.toml", "jetstream/Cargo.toml"]


def members() -> list[str]:
    """The workspace's crates and the fuzz targets."""
    return ["Cargo.toml", *(f"{member}/Cargo.toml" for member in [*toml("Cargo.toml")["workspace"]["members"], "fuzz"])]


def own() -> set[str]:
    return {toml(path)["package"]["name"] for path in members()}


def test_every_crate_in_the_wheel_has_a_row_and_every_row_a_crate() -> None:
    needed = {name for path in IN_THE_WHEEL for name in dependencies(path, "dependencies")}
    assert section("In the wheel") == needed - own()


def test_every_crate_in_the_wheel_has_its_size() -> None:
    _, _, rest = DOCUMENT.partition("\n## In the wheel\n")
    entries = re.findall(r"^- `[\w-]+` .*$", rest.partition("\n## ")[0], re.MULTILINE)
    assert len(entries) == len(section("In the wheel"))
    for entry in entries:
        assert re.fullmatch(r"- `[\w-]+` \(.+; \d+/(\d+|\?)\): .+", entry), entry


def test_every_crate_of_tests_and_benchmark_has_a_row_and_every_row_a_crate() -> None:
    needed: set[str] = set()
    for member in members():
        needed |= dependencies(member, "dependencies", "dev-dependencies", "build-dependencies")
    assert section("In tests, demo, stand-ins and benchmark") == needed - own() - section("In the wheel")


def test_versions_stand_once() -> None:
    for path in members():
        if path != "fuzz/Cargo.toml":
            for table in ("dependencies", "dev-dependencies", "build-dependencies"):
                loose = [name for name, value in toml(path).get(table, {}).items() if "workspace" not in value]
                assert loose == [], f"{path}: name.workspace = true, and the version in the root's Cargo.toml"


@pytest.mark.parametrize(
    ("requirements", "name"),
    [
        ("requirements-dev.in", "Python packages for building and testing"),
        ("bench/requirements.in", "Python packages for the benchmark"),
        ("release/requirements.in", "Python packages for a release"),
        ("docs/site/requirements.in", "Python packages for the documentation's site"),
    ],
)
def test_every_python_package_has_a_row_and_every_row_a_package(requirements: str, name: str) -> None:
    text = (ROOT / requirements).read_text(encoding="utf-8")
    assert section(name) == set(re.findall(r"^([\w-]+)", text, re.MULTILINE))


# Licences


def is_allowed(expression: str, allowed: set[str]) -> bool:
    """Whether the allowed licences satisfy an SPDX expression. AND has precedence over OR."""
    expression = expression.replace("/", " OR ")
    while group := re.search(r"\(([^()]*)\)", expression):
        name = "allowed" if is_allowed(group[1], allowed) else "refused"
        expression = expression.replace(group[0], name)
    return any(
        all(name.strip() in allowed | {"allowed"} for name in choice.split(" AND "))
        for choice in expression.split(" OR ")
    )


@pytest.mark.parametrize(
    ("expression", "met"),
    [
        ("MIT", True),
        ("GPL-3.0", False),
        ("GPL-3.0 OR MIT", True),
        ("GPL-3.0 AND MIT", False),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", False),
        ("(MIT OR GPL-3.0) AND MIT", True),
        ("MIT/Apache-2.0", True),
    ],
)
def test_licence_expressions_are_parsed(expression: str, met: bool) -> None:
    assert is_allowed(expression, {"MIT"}) is met


def test_every_licence_is_allowed_and_every_source_is_crates_io() -> None:
    allowed = set(toml("deny.toml")["licenses"]["allow"])
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--all-features"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    packages = metadata["packages"]
    assert len(packages) > 50
    assert [package["name"] for package in packages if not is_allowed(package["license"] or "", allowed)] == []
    sources = {package["source"] for package in packages} - {None}
    registries = {f"registry+{url}" for url in toml("deny.toml")["sources"]["allow-registry"]}
    assert sources == registries
