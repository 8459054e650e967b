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


def copy_sources(to: Path) -> None:
    """Copy the files that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)


def build(name: str, target: str, cargo_home: Path) -> Path:
    """Build in a directory of that name, which is made anew; gives the wheel."""
    place = PLACE / name
    shutil.rmtree(place, ignore_errors=True)
    sources = place / "influxdb3-notifier"
    copy_sources(sources)
    out = place / "wheels"
    environment = {key: value for key, value in os.environ.items() if key != "CARGO_TARGET_DIR"}
    environment |= {"CARGO_HOME": str(cargo_home), "SOURCE_DATE_EPOCH": str(committed(ROOT))}
    command = [sys.executable, "-m", "release.wheels", "--out", str(out), target]
    subprocess.run(command, cwd=sources, env=environment, check=True)
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
    one = build("one", target, home)
    elsewhere = PLACE / "other-downloads"
    elsewhere.mkdir(parents=True, exist_ok=True)
    if not (elsewhere / "registry").exists():
        (elsewhere / "registry").symlink_to(home / "registry")
    other = build("another-place", target, elsewhere)
    digests = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in (one, other)]
    if digests[0] != digests[1]:
        sys.exit(f"the wheels differ: {', '.join(differences(one, other)) or 'in the archive itself'}\n{one}\n{other}")
    print(f"{one.name}: built twice, the same {one.stat().st_size} bytes, sha256 {digests[0]}")


if __name__ == "__main__":
    main()
