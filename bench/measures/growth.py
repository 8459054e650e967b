"""P10: how CPU time grows with the number of destinations, the length of the text, and the receivers of the file."""

import math
import tempfile
from pathlib import Path
from statistics import linear_regression, median

from bench.checks import check_answers, check_arrivals
from bench.messages import Notification, webhooks
from bench.processes import Call, Contender
from bench.rows import LIMIT, OURS
from bench.run import Run

DESTINATIONS = (1, 3, 10, 30, 100, 300, 1000)
BODY_BYTES = (100, 1_000, 10_000, 100_000, 1_000_000)
RECEIVERS = (1, 10, 100, 1_000, 10_000)
CALLS, TAKEN_UP = 9, 3


def growth(run: Run) -> None:
    """Both curves, without latency."""
    _curve(run, "destinations", {count: webhooks(run.sink, 0, count) for count in DESTINATIONS})
    _curve(run, "body", {size: webhooks(run.sink, 0, 1, "CPU 97 % " * (size // 9)) for size in BODY_BYTES})


def _curve(run: Run, what: str, notifications: dict[int, Notification]) -> None:
    row, series = run.rows[f"P10 {what}"], run.series[what]
    for name in run.rotated(OURS, LIMIT):
        points: dict[int, float] = {}
        with Contender(name) as contender:
            for size, notification in notifications.items():
                run.send(row.id, contender, notification)
                calls = run.send(row.id, contender, notification, CALLS)
                points[size] = median(call.cpu_ns for call in calls) / 1e9
                series.setdefault(name, {}).setdefault(size, []).append(points[size])
        row.add(name, exponent(points))


def exponent(points: dict[int, float]) -> float:
    """The exponent b of cost = a · size^b over the upper half of the sizes. Below it the fixed cost dominates."""
    upper = sorted(points.items())[len(points) // 2 :]
    sizes = [math.log(size) for size, _ in upper]
    return linear_regression(sizes, [math.log(cost) for _, cost in upper]).slope


def receivers(run: Run) -> None:
    """A call that loads a file of ``count`` receivers and sends to the last one."""
    points: dict[int, float] = {}
    text = "CPU 97 %"
    for count in RECEIVERS:
        with Contender(OURS) as contender, tempfile.TemporaryDirectory() as directory:
            # A first call starts the process's threads, which are not measured.
            run.send("P10 receivers", contender, webhooks(run.sink, 0, 1, text))
            taken = []
            for number in range(TAKEN_UP):
                file = Path(directory) / f"{number}.toml"
                file.write_text(
                    "".join(
                        f'[receivers.r{n}.http]\nwebhook_url = "{run.sink}/sink/0/hook/{n}"\n' for n in range(count)
                    ),
                    encoding="utf-8",
                )
                run.standin.clear()
                request = {"notification_text": text, "receivers": [f"r{count - 1}"]}
                job = {"do": "send", "request": request, "arguments": {"config_file_path": str(file)}, "times": 1}
                call = Call(**contender.ask(job)[0])
                check_answers("P10 receivers", OURS, 1, [call.delivered])
                check_arrivals("P10 receivers", OURS, 1, run.standin.sink()["requests"])
                taken.append(call.cpu_ns)
            points[count] = median(taken) / 1e9
    run.rows["P10 receivers"].add(OURS, exponent(points))
