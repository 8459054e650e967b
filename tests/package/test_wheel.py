"""The installed package: its exports, metadata and import time."""

import importlib.metadata
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

import influxdb3_notifier
from tests.harness import ROOT

SITE_PACKAGES = sysconfig.get_path("purelib")


def test_the_version_is_cargos_everywhere() -> None:
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    version = cargo["workspace"]["package"]["version"]
    assert influxdb3_notifier.__version__ == version
    assert importlib.metadata.version("influxdb3-notifier") == version


def test_the_wheel_supports_the_plugin_api_of_the_plugin_file() -> None:
    assert "wheel.process_request(1, *call)" in (ROOT / "notifier_plugin.py").read_text(encoding="utf-8")
    assert 1 in influxdb3_notifier.PLUGIN_APIS


def test_every_exported_name_exists() -> None:
    assert all(hasattr(influxdb3_notifier, name) for name in influxdb3_notifier.__all__)


def test_the_wheel_needs_no_other_package() -> None:
    assert not importlib.metadata.requires("influxdb3-notifier")


def test_the_package_is_installed_and_typed() -> None:
    package = Path(influxdb3_notifier.__file__).parent
    assert package.is_relative_to(SITE_PACKAGES), "the tests run on the wheel, not on the source tree"
    assert (package / "py.typed").is_file()
    assert (package / "_native.pyi").is_file()


@pytest.mark.parametrize("module", ["json", "typing", "asyncio", "threading", "logging", "re"])
def test_importing_the_package_imports_nothing_that_costs_time(module: str) -> None:
    # Without site, which imports some of them by itself.
    program = (
        f"import sys; sys.path.append({SITE_PACKAGES!r}); import influxdb3_notifier; print({module!r} in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout == "False\n"
