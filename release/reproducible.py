"""Builds a wheel twice, in two places, and compares: ``python -m release.reproducible [TARGET]``.

The sources are what git knows of the work tree. The second build lies elsewhere, and so do Cargo's downloads for it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from release.wheels import ROOT, committed

PLACE = ROOT / "target" / "reproducible"
SOURCES = "influxdb3-notifier"


def copy_sources(to: Path) -> None:
    """Copy the files that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)


def build(place: Path, target: str, cargo_home: Path, epoch: int) -> Path:
    """Build the copied sources; returns the wheel."""
    out = place / "wheels"
    environment = {key: value for key, value in os.environ.items() if key != "CARGO_TARGET_DIR"}
    environment |= {"CARGO_HOME": str(cargo_home), "SOURCE_DATE_EPOCH": str(epoch)}
    command = [sys.executable, "-m", "release.wheels", "--out", str(out), target]
    subprocess.run(command, cwd=place / SOURCES, env=environment, check=True)
    [wheel] = out.glob("*.whl")
    return wheel


def differences(one: Path, other: Path) -> list[str]:
    """The files of two wheels that differ."""
    with ZipFile(one) as first, ZipFile(other) as second:
        names = sorted({*first.namelist(), *second.namelist()})
        both = set(first.namelist()) & set(second.namelist())
        return [name for name in names if name not in both or first.read(name) != second.read(name)]


def main() -> None:
    """Build twice; exit status 1 when the bytes differ."""
    target = sys.argv[1] if len(sys.argv) > 1 else "x86_64-unknown-linux-gnu"
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    shutil.rmtree(PLACE, ignore_errors=True)
    places = PLACE / "one", PLACE / "another-place"
    # Copy before the first build, so that later edits change neither build.
    epoch = committed(ROOT)
    for place in places:
        copy_sources(place / SOURCES)
    elsewhere = PLACE / "other-downloads"
    elsewhere.mkdir()
    (elsewhere / "registry").symlink_to(home / "registry")
    one = build(places[0], target, home, epoch)
    other = build(places[1], target, elsewhere, epoch)
    digests = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in (one, other)]
    if digests[0] != digests[1]:
        sys.exit(f"the wheels differ: {', '.join(differences(one, other)) or 'in the archive itself'}\n{one}\n{other}")
    print(f"{one.name}: built twice, the same {one.stat().st_size} bytes, sha256 {digests[0]}")


if __name__ == "__main__":
    main()
