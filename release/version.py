"""Writes the version of Cargo.toml into other files: ``python -m release.version``.

Run it after a change of the version. ``--check`` changes nothing, and exits with 1 if a file has another version.
``--print`` prints the version.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENT = r"(influxdb3-notifier==)\d+\.\d+\.\d+\w*"
VERSION_PATTERNS = {
    "notifier_plugin.py": [r'(\nWHEEL_VERSION = ")[^"]+'],
    "manifest.toml": [r'(\n\[plugin\]\nname = "influxdb3-notifier"\nversion = ")[^"]+', REQUIREMENT],
    "README.md": [REQUIREMENT],
}
"""Files that must contain the version. Pages of docs/ may contain it."""
LOCKS = ("Cargo.toml", "fuzz/Cargo.toml")


def version() -> str:
    """The version in Cargo.toml."""
    return str(tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]["version"])


def outdated(expected: str) -> Iterator[tuple[Path, str]]:
    """Files with another version, and their correct texts.

    :raises ValueError: a file of :data:`VERSION_PATTERNS` has no version.
    """
    pages = {str(page.relative_to(ROOT)): [REQUIREMENT] for page in sorted((ROOT / "docs").glob("*.md"))}
    for name, patterns in {**pages, **VERSION_PATTERNS}.items():
        text = new = (ROOT / name).read_text(encoding="utf-8")
        for pattern in patterns:
            new, count = re.subn(pattern, rf"\g<1>{expected}", new)
            if not count and name in VERSION_PATTERNS:
                raise ValueError(f"{name} does not match {pattern}")
        if new != text:
            yield ROOT / name, new


def main() -> None:
    """Write, check or print the version."""
    expected = version()
    if "--print" in sys.argv[1:]:
        print(expected)
        return
    found = list(outdated(expected))
    if "--check" in sys.argv[1:]:
        sys.exit("\n".join(f"{path.relative_to(ROOT)} has another version than {expected}" for path, _ in found) or 0)
    for path, text in found:
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {expected}")
    for manifest in LOCKS:
        command = ["cargo", "update", "--quiet", "--offline", "--workspace", "--manifest-path", manifest]
        subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
