"""Builds release wheels: ``python -m release.wheels --out dist [TARGET …]``.

For a target of Linux zig is compiler and linker, against the glibc of manylinux2014 whatever the machine has. Without a
target the machine's own tools build for itself, as on macOS and Windows. The same sources give the same bytes wherever
they and Cargo's downloads lie: ``python -m release.reproducible`` shows it.
"""

import argparse
import base64
import csv
import hashlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile, ZipInfo

ROOT = Path(__file__).resolve().parent.parent
BEFORE_ZIP = 315532800
"""1980, the first time that a zip archive can hold."""


def build(out: Path, target: str | None = None, *, root: Path = ROOT) -> None:
    """Build one wheel.

    :param target: a Rust target of Linux; None: this machine.
    :param root: where the sources are.
    """
    command = [sys.executable, "-m", "maturin", "build", "--release", "--locked", "--auditwheel", "check"]
    if target:
        command += ["--zig", "--target", target, "--compatibility", "manylinux2014"]
    else:
        command += ["--compatibility", "pypi"]
    subprocess.run([*command, "--out", str(out)], cwd=root, env=environment(root), check=True)


def environment(root: Path) -> dict[str, str]:
    """The environment of a reproducible build, without times and paths."""
    cargo_home = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
    remapped = {cargo_home: "/cargo", str(root): "/influxdb3-notifier"}
    flags = [f"--remap-path-prefix={place}={name}" for place, name in remapped.items()]
    return os.environ | {
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
        "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", str(commit_time(root))),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": sys.prefix,
    }


def commit_time(root: Path) -> int:
    """The commit time of the sources, in seconds since 1970."""
    command = ["git", "log", "-1", "--format=%ct"]
    process = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return int(process.stdout) if process.returncode == 0 else BEFORE_ZIP


def without_place(wheel: Path) -> None:
    """Remove the path of the sources, which maturin writes, from a wheel's list of components."""
    with ZipFile(wheel) as archive:
        entries = [(entry, archive.read(entry)) for entry in archive.infolist()]
    changed: dict[str, bytes] = {}
    for entry, content in entries:
        if "/sboms/" in entry.filename:
            changed[entry.filename] = re.sub(rb'path\+file://[^"#]*#', b"path+file:///influxdb3-notifier#", content)
    with ZipFile(wheel, "w") as archive:
        for entry, content in entries:
            new = changed.get(entry.filename, content)
            if entry.filename.endswith(".dist-info/RECORD"):
                new = recorded(content.decode(), changed).encode()
            archive.writestr(copied(entry), new, compresslevel=9)


def recorded(record: str, changed: dict[str, bytes]) -> str:
    """RECORD with the hashes and sizes of the changed files."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    for name, digest, size in csv.reader(record.splitlines()):
        if name in changed:
            sha256 = base64.urlsafe_b64encode(hashlib.sha256(changed[name]).digest()).decode().rstrip("=")
            rows.writerow([name, f"sha256={sha256}", len(changed[name])])
        else:
            rows.writerow([name, digest, size])
    return out.getvalue()


def copied(entry: ZipInfo) -> ZipInfo:
    """An entry of the same name, time and mode."""
    new = ZipInfo(entry.filename, entry.date_time)
    new.external_attr = entry.external_attr
    new.create_system = entry.create_system
    new.compress_type = entry.compress_type
    return new


def lacks(target: str) -> bool:
    """Whether Rust's standard library for the target is missing."""
    command = ["rustc", "--print", "target-libdir", "--target", target]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    return not Path(process.stdout.strip()).is_dir()


def main() -> None:
    """Build the targets of the command line."""
    parser = argparse.ArgumentParser(prog="python -m release.wheels", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=ROOT / "dist", help="where the wheels go, in place of those that are there"
    )
    parser.add_argument("targets", metavar="TARGET", nargs="*", help="such as aarch64-unknown-linux-gnu")
    options = parser.parse_args()
    if missing := [target for target in options.targets if lacks(target)]:
        names = " ".join(missing)
        sys.exit(f"Rust's standard library is not there for {names}: rustup target add {names}")
    for old in options.out.glob("*.whl"):
        old.unlink()
    for target in options.targets or [None]:
        build(options.out.resolve(), target)
    for wheel in sorted(options.out.glob("*.whl")):
        without_place(wheel)
        print(f"{wheel}: {wheel.stat().st_size / 1e6:.1f} MB, sha256 {hashlib.sha256(wheel.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
