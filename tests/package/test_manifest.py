"""manifest.toml follows the registry's rules and names the version that Cargo.toml has."""

import re
import tomllib
from typing import Any

import pytest

from tests.harness import ROOT

PUBLISHED = ["manifest.toml", "notifier_plugin.py", "README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"]


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return tomllib.loads((ROOT / "manifest.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def version() -> str:
    return str(tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]["version"])


def test_the_manifest_has_these_tables_and_keys_and_no_others(manifest: dict[str, Any]) -> None:
    assert manifest["manifest_schema_version"] == "1.3"
    assert set(manifest) == {"manifest_schema_version", "plugin", "dependencies"}
    assert set(manifest["plugin"]) == {"name", "version", "description", "triggers", "exclude"}
    assert set(manifest["dependencies"]) == {"database_version", "python"}


def test_the_name_differs_from_the_registered_package(manifest: dict[str, Any]) -> None:
    assert manifest["plugin"]["name"] == "influxdb3-notifier"


def test_the_version_is_cargos_also_in_the_requirement(manifest: dict[str, Any], version: str) -> None:
    assert manifest["plugin"]["version"] == version
    assert manifest["dependencies"]["python"] == [f"influxdb3-notifier=={version}"]
    assert manifest["dependencies"]["database_version"] == ">=3.0.0"


def test_the_description_is_one_line_of_plain_text_of_at_most_200_characters(manifest: dict[str, Any]) -> None:
    description = manifest["plugin"]["description"]
    assert 1 <= len(description) <= 200
    assert description.isprintable()
    assert not re.search(r"[`*_<>\[\]]", description)


def test_each_declared_trigger_is_a_function_of_the_plugin_file(manifest: dict[str, Any]) -> None:
    source = (ROOT / "notifier_plugin.py").read_text(encoding="utf-8")
    defined = re.findall(r"^def (process_\w+)\(", source, re.MULTILINE)
    assert manifest["plugin"]["triggers"] == defined


def test_only_the_files_of_the_plugin_are_published(manifest: dict[str, Any]) -> None:
    assert manifest["plugin"]["exclude"] == ["*", *(f"!/{name}" for name in PUBLISHED)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_file_exists(name: str) -> None:
    assert (ROOT / name).is_file()
