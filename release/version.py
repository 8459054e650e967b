"""Writes the version of Cargo.toml into other files: ``python -m release.version``.

After a change of Cargo.toml's. ``--check`` changes nothing, and exits with 1 where a place has another; ``--print``
says which it is.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENT = r"(influxdb3-notifier==)\d+\.\d+\.\d+\w*"
PLACES = {
    "notifier_plugin.py": [r'(\nWHEEL_VERSION = ")[^"]+'],
    "manifest.toml": [r'(\n\[plugin\]\nname = "influxdb3-notifier"\nversion = ")[^"]+', REQUIREMENT],
    "README.md": [REQUIREMENT],
}
"""Files that must contain the version. Pages of docs/ may contain it."""
LOCKS = ("Cargo.toml", "fuzz/Cargo.toml")


def version() -> str:
    """Cargo.toml's."""
    return str(tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]["version"])


def outdated(right: str) -> Iterator[tuple[Path, str]]:
    """Files with another version, and their correct texts.

    :raises ValueError: a place is not where it should be.
    """
    pages = {str(page.relative_to(ROOT)): [REQUIREMENT] for page in sorted((ROOT / "docs").glob("*.md"))}
    for name, patterns in {**pages, **PLACES}.items():
        text = new = (ROOT / name).read_text(encoding="utf-8")
        for pattern in patterns:
            new, count = re.subn(pattern, rf"\g<1>{right}", new)
            if not count and name in PLACES:
                raise ValueError(f"{name} has nothing like {pattern}")
        if new != text:
            yield ROOT / name, new


def main() -> None:
    """Write, or check."""
    right = version()
    if "--print" in sys.argv[1:]:
        print(right)
        return
    found = list(outdated(right))
    if "--check" in sys.argv[1:]:
        sys.exit("\n".join(f"{path.relative_to(ROOT)}: is not of {right}" for path, _ in found) or 0)
    for path, text in found:
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {right}")
    for manifest in LOCKS:
        command = ["cargo", "update", "--quiet", "--offline", "--workspace", "--manifest-path", manifest]
        subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
