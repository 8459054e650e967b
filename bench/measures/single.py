"""P2: one Slack notification, from the call of ``process_request`` to its return."""

from statistics import median

from bench.messages import slack
from bench.processes import Contender
from bench.rows import APPRISE, HTTPX, LIMIT, NOOP, OURS
from bench.run import Run

SLOW_CALLS = 60
"""Calls of peers that take milliseconds each."""


def single(run: Run) -> None:
    """The median of many calls, connections kept."""
    row = run.rows["P2"]
    notification = slack(run.sink, 0)
    for name in run.order(OURS, LIMIT, HTTPX, APPRISE):
        times = run.effort.single_calls if name in (OURS, LIMIT) else SLOW_CALLS
        with Contender(name) as contender:
            run.send(row.id, contender, notification, 10)
            calls = run.send(row.id, contender, notification, times)
        row.add(name, median(call.wall_ns for call in calls) / 1e3)
    with Contender(NOOP) as contender:
        calls = contender.send(notification, run.effort.single_calls)
    row.add(NOOP, median(call.wall_ns for call in calls) / 1e3)


def execute(run: Run) -> None:
    """What the engine pays for each plugin's file before it calls the function."""
    for name in run.order(OURS, HTTPX, APPRISE, NOOP):
        with Contender(name) as contender:
            taken = contender.ask({"do": "execute", "times": 200})
        run.rows["P2 execute"].add(name, median(taken) / 1e3)
