"""Builds a wheel twice, in two directories, and compares the files: ``python -m release.reproducible [TARGET]``.

It builds the files that git tracks. The second build has other directories for itself and Cargo's downloads.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from release.wheels import ROOT, commit_time

BUILD_DIRECTORY = ROOT / "target" / "reproducible"
SOURCES = "influxdb3-notifier"


def copy_sources(to: Path) -> None:
    """Copy the files that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)


def build(directory: Path, target: str, cargo_home: Path, epoch: int) -> Path:
    """Build the copied sources; returns the wheel."""
    out = directory / "wheels"
    environment = {key: value for key, value in os.environ.items() if key != "CARGO_TARGET_DIR"}
    environment |= {"CARGO_HOME": str(cargo_home), "SOURCE_DATE_EPOCH": str(epoch)}
    command = [sys.executable, "-m", "release.wheels", "--out", str(out), target]
    subprocess.run(command, cwd=directory / SOURCES, env=environment, check=True)
    [wheel] = out.glob("*.whl")
    return wheel


def differences(one: Path, other: Path) -> list[str]:
    """The files of two wheels that differ."""
    with ZipFile(one) as first, ZipFile(other) as second:
        names = sorted({*first.namelist(), *second.namelist()})
        both = set(first.namelist()) & set(second.namelist())
        return [name for name in names if name not in both or first.read(name) != second.read(name)]


def main() -> None:
    """Build twice. Exits with 1 if the bytes differ."""
    target = sys.argv[1] if len(sys.argv) > 1 else "x86_64-unknown-linux-gnu"
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    shutil.rmtree(BUILD_DIRECTORY, ignore_errors=True)
    directories = BUILD_DIRECTORY / "one", BUILD_DIRECTORY / "another-place"
    # Copy before the first build, so that later edits change neither build.
    epoch = commit_time(ROOT)
    for directory in directories:
        copy_sources(directory / SOURCES)
    elsewhere = BUILD_DIRECTORY / "other-downloads"
    elsewhere.mkdir()
    (elsewhere / "registry").symlink_to(home / "registry")
    one = build(directories[0], target, home, epoch)
    other = build(directories[1], target, elsewhere, epoch)
    digests = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in (one, other)]
    if digests[0] != digests[1]:
        sys.exit(f"the wheels differ: {', '.join(differences(one, other)) or 'in the archive itself'}\n{one}\n{other}")
    print(f"{one.name}: built twice, the same {one.stat().st_size} bytes, sha256 {digests[0]}")


if __name__ == "__main__":
    main()
