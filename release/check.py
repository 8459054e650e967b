"""Checks wheels before they are published, and prints errors: ``python -m release.check WHEEL …``."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = {"__init__.py", "__main__.py", "_native.pyi", "py.typed", "cli/__init__.py", "cli/completions/bash"}
LICENCES = {"LICENSE-MIT", "LICENSE-APACHE"}
NAME = re.compile(r"influxdb3_notifier-(?P<version>[^-]+)-cp311-abi3-(?P<platform>\w+(?:\.\w+)*)\.whl")
PLATFORMS = re.compile(r"manylinux2014_(\w+)\.manylinux_2_17_\1|macosx_11_0_arm64|win_amd64")
CRATES = (".", "core", "jetstream")
"""Those of the wheel."""
MAX_BYTES = 12_000_000
"""The maximum size. A larger file is a mistake, such as unstripped symbols."""


def problems(wheel: Path) -> Iterator[str]:
    """The errors of a wheel's file."""
    name = NAME.fullmatch(wheel.name)
    version = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]["version"]
    if not name or not PLATFORMS.fullmatch(name["platform"]):
        yield "its name is not that of a wheel of ours for Python 3.11 and newer on a platform of ours"
        return
    if name["version"] != version:
        yield f"it is of version {name['version']}, Cargo.toml of {version}"
    if wheel.stat().st_size > MAX_BYTES:
        yield f"it has {wheel.stat().st_size} bytes, more than {MAX_BYTES}"
    with ZipFile(wheel) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist()}
    info = f"influxdb3_notifier-{version}.dist-info"
    wanted = {f"influxdb3_notifier/{file}" for file in PACKAGE} | {f"{info}/licenses/{file}" for file in LICENCES}
    if lacking := wanted - set(files):
        yield f"it lacks {', '.join(sorted(lacking))}"
    metadata = files.get(f"{info}/METADATA", b"").decode()
    for field in (f"Version: {version}", "Requires-Python: >=3.11"):
        if f"\n{field}\n" not in metadata:
            yield f"its METADATA does not say {field!r}"
    if "\nRequires-Dist:" in metadata:
        yield "it asks for another package"
    yield from of_components(files.get(f"{info}/sboms/influxdb3-notifier.cyclonedx.json"))
    yield from places(files)


def of_components(content: bytes | None) -> Iterator[str]:
    """The errors of the list of components."""
    if content is None:
        yield "it has no list of its components (SBOM)"
        return
    listed = json.loads(content)
    if (listed["bomFormat"], listed["metadata"]["component"]["name"]) != ("CycloneDX", "influxdb3-notifier"):
        yield "its list of components is none of CycloneDX's for this crate"
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))["package"]
    known = {(package["name"], package["version"]) for package in locked}
    named = {(component["name"], component["version"]) for component in listed["components"]}
    if unknown := named - known:
        yield f"its list of components has what Cargo.lock has not: {sorted(unknown)}"
    manifests = (tomllib.loads((ROOT / crate / "Cargo.toml").read_text(encoding="utf-8")) for crate in CRATES)
    direct = {name for manifest in manifests for name in manifest["dependencies"]}
    if lacking := direct - {component for component, _ in named}:
        yield f"its list of components lacks {', '.join(sorted(lacking))}"


def places(files: dict[str, bytes]) -> Iterator[str]:
    """The places in a wheel that contain a path of the build machine."""
    told = [str(ROOT).encode(), str(Path.home()).encode() + b"/"]
    for name, content in files.items():
        for place in told:
            if place in content:
                yield f"{name} has the path {place.decode()}"


def main() -> None:
    """Check the wheels; abi3audit looks for symbols that the stable ABI of 3.11 does not have."""
    wheels = [Path(argument) for argument in sys.argv[1:]]
    if not wheels:
        sys.exit("no wheel to check")
    found = [f"{wheel.name}: {problem}" for wheel in wheels for problem in problems(wheel)]
    for problem in found:
        print(problem, file=sys.stderr)
    audit = [str(Path(sys.executable).parent / "abi3audit"), "--strict", "--summary"]
    audited = subprocess.run([*audit, *map(str, wheels)], check=False)
    if found or audited.returncode:
        sys.exit(1)
    print(f"{len(wheels)} checked: name, version, contents, components, paths, abi3")


if __name__ == "__main__":
    main()
