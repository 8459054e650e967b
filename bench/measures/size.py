"""P6 and P13: what the wheel costs before it has delivered much."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from bench import memory
from bench.checks import check_answers
from bench.messages import slack
from bench.processes import ROOT, Contender, environment
from bench.rows import LIMIT, OURS
from bench.run import Run

MIB = 1024 * 1024
INTERPRETERS = 10
"""Fresh interpreters a round; the median counts."""


def start(run: Run) -> None:
    """Import and readiness, each in a fresh interpreter."""
    pairs = sorted(_fresh("import") for _ in range(INTERPRETERS))
    run.rows["P6 import"].add(OURS, pairs[INTERPRETERS // 2][0] / 1e6)
    run.rows["P6 ready"].add(OURS, sorted(ready for _, ready in pairs)[INTERPRETERS // 2] / 1e6)


def first_memory(run: Run) -> None:
    """What the first notification adds: the runtime's threads, the client, the roots, the code that was touched."""
    row = run.rows["P6 memory"]
    if not memory.AVAILABLE:
        row.not_run = "this system has no /proc/PID/smaps_rollup"
        return
    notification = slack(run.sink, 0)
    run.standin.clear()
    before, after, delivered = _fresh("first", json.dumps(notification.request))
    check_answers(row.id, OURS, notification.count, [delivered])
    run.check_sink(row.id, OURS, notification, 1)
    row.add(OURS, (after - before) / MIB)
    with Contender(LIMIT) as limit:
        limit.send(notification, 0)
        before = memory.private_dirty(limit.pid)
        run.send(row.id, limit, notification)
        row.add(LIMIT, (memory.private_dirty(limit.pid) - before) / MIB)


def _fresh(*arguments: str) -> Any:
    command = [sys.executable, "-m", "bench.fresh", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment())
    return json.loads(done.stdout)


def wheel(run: Run) -> None:
    """The release wheel and the library in it."""
    path = newest_wheel()
    with zipfile.ZipFile(path) as archive:
        library = max(info.file_size for info in archive.infolist() if "_native" in info.filename)
    run.rows["P13 wheel"].add(OURS, path.stat().st_size / MIB)
    run.rows["P13 library"].add(OURS, library / MIB)


def newest_wheel() -> Path:
    """The wheel that ``make bench`` has built."""
    wheels = list((ROOT / "target" / "bench" / "wheels").glob("*.whl"))
    if not wheels:
        raise RuntimeError("there is no wheel in target/bench/wheels: make bench")
    return max(wheels, key=lambda wheel: wheel.stat().st_mtime)
