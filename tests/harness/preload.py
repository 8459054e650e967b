"""Libraries that a process loads before the C library, to change its names, files or clocks."""

import subprocess
import sys
from pathlib import Path

import pytest


def preloaded(source: Path, directory: Path) -> dict[str, str]:
    """Build a C file into ``directory``, and return the variables that load it. Skips the test except on Linux."""
    if sys.platform != "linux":
        pytest.skip("a library can be preloaded on Linux only")
    library = directory / f"{source.stem}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library)}
