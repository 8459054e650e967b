"""Rows of a table and the history: the blocking time of a write, and the cost of a history row."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench.checks import check_arrivals
from bench.messages import slack
from bench.processes import Contender
from bench.rows import OURS
from bench.run import Run

ROWS, BATCHES = 10_000, 3
HANGING_CALLS, HANGING_ROWS, HEALTHY_CALLS = 100, 1_000, 50
ARRIVAL_SECONDS = 60
TURNS = 10
FILE = """\
[receivers.sink]
http = {{ webhook_url = "{url}" }}
[[routes]]
receivers = ["sink"]
"""


def rows(run: Run) -> None:
    """The blocking time of a write of 10,000 rows, each of which is a separate message."""
    with tempfile.TemporaryDirectory() as directory, Contender(OURS) as contender:
        file = Path(directory) / "notifier.toml"
        file.write_text(FILE.format(url=_hook(run)), encoding="utf-8")
        arguments = {"config_file_path": str(file)}
        contender.ask({"do": "write", "rows": 10, "arguments": arguments})
        run.wait_for_arrivals(10, ARRIVAL_SECONDS)
        # Earlier requests to the sink are not counted.
        time.sleep(1)
        taken = []
        for _ in range(BATCHES):
            run.standin.clear()
            taken += contender.ask({"do": "write", "rows": ROWS, "arguments": arguments})
            check_arrivals("rows", OURS, ROWS, run.wait_for_arrivals(ROWS, ARRIVAL_SECONDS))
    run.rows["rows"].add(OURS, median(taken) / 1e6)


def beside_a_hanging_destination(run: Run) -> None:
    """The longest call of two write triggers with one outbox. One has a destination that never replies."""
    with tempfile.TemporaryDirectory() as directory, Contender(OURS) as contender:
        run.standin.clear()
        outbox = f'[settings]\noutbox = "{directory}/outbox.db"\n'
        urls = {"healthy": _hook(run), "hanging": run.standin.fault("silent")["url"]}
        arguments = {}
        for name, url in urls.items():
            file = Path(directory) / f"{name}.toml"
            file.write_text(outbox + FILE.format(url=url), encoding="utf-8")
            arguments[name] = {"config_file_path": str(file)}
        # One-time work of the process is not measured.
        contender.ask({"do": "write", "rows": 1, "arguments": arguments["healthy"]})
        run.wait_for_arrivals(1, ARRIVAL_SECONDS)
        taken = []
        for name, calls, rows_of_one in (("hanging", HANGING_CALLS, HANGING_ROWS), ("healthy", HEALTHY_CALLS, 1)):
            for _ in range(calls):
                taken += contender.ask({"do": "write", "rows": rows_of_one, "arguments": arguments[name]})
        healthy = 1 + HEALTHY_CALLS
        check_arrivals("writes", OURS, healthy, run.wait_for_arrivals(healthy, ARRIVAL_SECONDS))
    run.rows["writes"].add(OURS, max(taken) / 1e6)


def _hook(run: Run) -> str:
    return f"{run.sink}/sink/0/hook/rows"


def history(run: Run) -> None:
    """One Slack notification, alternating with and without a history."""
    row = run.rows["history"]
    # One argument each, so that the argument's cost is not attributed to the history.
    plain = replace(slack(run.sink, 0), arguments={"allow_mentions": "true"})
    kept = replace(plain, arguments={"history_table": "notifications"})
    times = run.scale.single_calls // TURNS
    with Contender(OURS) as contender:
        medians = []
        for notification in (plain, kept):
            run.send(row.id, contender, notification, 20)
        for _ in range(TURNS):
            without, with_history = (
                median(call.wall_ns for call in run.send(row.id, contender, notification, times))
                for notification in (plain, kept)
            )
            medians.append(with_history - without)
    row.add(OURS, median(medians) / 1e3)
