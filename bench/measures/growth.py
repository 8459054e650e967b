"""P10: how CPU time grows with the number of destinations and with the length of the text."""

import math
from statistics import linear_regression, median

from bench.messages import Notification, webhooks
from bench.processes import Contender
from bench.rows import LIMIT, OURS
from bench.run import Run

DESTINATIONS = (1, 3, 10, 30, 100, 300, 1000)
BODY_BYTES = (100, 1_000, 10_000, 100_000, 1_000_000)
CALLS = 9


def growth(run: Run) -> None:
    """Both curves, without latency."""
    _curve(run, "destinations", {count: webhooks(run.sink, 0, count) for count in DESTINATIONS})
    _curve(run, "body", {size: webhooks(run.sink, 0, 1, "CPU 97 % " * (size // 9)) for size in BODY_BYTES})


def _curve(run: Run, what: str, notifications: dict[int, Notification]) -> None:
    row, series = run.rows[f"P10 {what}"], run.series[what]
    for name in run.order(OURS, LIMIT):
        points: dict[int, float] = {}
        with Contender(name) as contender:
            for size, notification in notifications.items():
                run.send(row.id, contender, notification)
                calls = run.send(row.id, contender, notification, CALLS)
                points[size] = median(call.cpu_ns for call in calls) / 1e9
                series.setdefault(name, {}).setdefault(size, []).append(points[size])
        row.add(name, exponent(points))


def exponent(points: dict[int, float]) -> float:
    """The b of cost = a · size^b over the upper half of the sizes: below it the call's own cost hides the growth."""
    upper = sorted(points.items())[len(points) // 2 :]
    sizes = [math.log(size) for size, _ in upper]
    return linear_regression(sizes, [math.log(cost) for _, cost in upper]).slope
