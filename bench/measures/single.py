"""P2 and P15: a ``process_request`` call with one Slack notification, and the loading of the plugin file."""

import time
import timeit
from functools import partial
from statistics import median

from bench.messages import slack
from bench.processes import PLUGIN_FILES, Contender
from bench.rows import APPRISE, HTTPX, LIMIT, NOOP, OURS
from bench.run import Run

BLOCKS = 10
"""The number of alternating turns of the notifier and the limit in a round."""
SLOW_CALLS = 60
"""The number of calls of peers that take milliseconds per call."""
COMPILE_TURNS, COMPILATIONS = 25, 20
"""The number of alternating turns, and of compilations in each turn. The fastest turn counts."""


def single(run: Run) -> None:
    """The median of many calls with pooled connections."""
    row = run.rows["P2"]
    notification = slack(run.sink, 0)
    with Contender(OURS) as ours, Contender(LIMIT) as limit:
        run.alternate(row.id, (ours, limit), notification, 1, times=20)
        calls = run.alternate(row.id, (ours, limit), notification, BLOCKS, times=run.scale.single_calls // BLOCKS)
    for name, taken in calls.items():
        row.add(name, median(call.wall_ns for call in taken) / 1e3)
    for name in run.rotated(HTTPX, APPRISE):
        with Contender(name) as contender:
            run.send(row.id, contender, notification, 5)
            slow = run.send(row.id, contender, notification, SLOW_CALLS)
        row.add(name, median(call.wall_ns for call in slow) / 1e3)
    with Contender(NOOP) as contender:
        nothing = contender.send(notification, run.scale.single_calls)
    row.add(NOOP, median(call.wall_ns for call in nothing) / 1e3)


def execute(run: Run) -> None:
    """The engine's cost of loading each plugin file."""
    for name in run.rotated(OURS, HTTPX, APPRISE, NOOP):
        with Contender(name) as contender:
            taken = contender.ask({"do": "execute", "times": 200})
        run.rows["P2 execute"].add(name, median(taken) / 1e3)


def compiling(run: Run) -> None:
    """The processor time for loading the plugin file at each call, alternating with a file of ten lines."""
    sources = {name: PLUGIN_FILES[name].read_text(encoding="utf-8") for name in (OURS, NOOP)}
    taken: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(COMPILE_TURNS):
        for name, source in sources.items():
            work = partial(compile, source, "<string>", "exec")
            taken[name].append(timeit.timeit(work, timer=time.thread_time, number=COMPILATIONS))
    for name, turns in taken.items():
        run.rows["P15"].add(name, min(turns) / COMPILATIONS * 1e6)
