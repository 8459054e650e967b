"""Libraries that a process loads before the C library, to have other names, files or clocks than the machine's."""

import subprocess
import sys
from pathlib import Path

import pytest


def preloaded(source: Path, directory: Path) -> dict[str, str]:
    """The environment of a process that loads this C file first, built into ``directory``. Skips the test off Linux."""
    if sys.platform != "linux":
        pytest.skip("a library can be preloaded on Linux only")
    library = directory / f"{source.stem}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library)}
