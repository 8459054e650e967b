"""P1 and P5: one notification to many destinations, and the CPU time of a delivery."""

from statistics import median

from bench.messages import three_channels, webhooks
from bench.processes import Contender
from bench.rows import APPRISE, HTTPX, LIMIT, OURS
from bench.run import Run

LATENCY_MS = 100
CPU_AT = 100
"""Destinations of the call whose CPU time is measured."""


def fan_out(run: Run) -> None:
    """All contenders with all numbers of destinations. A cold call is the first call of a new process."""
    for count in run.scale.destinations:
        cold, warm = run.rows[f"P1 {count} cold"], run.rows[f"P1 {count} warm"]
        notification = webhooks(run.sink, LATENCY_MS, count)
        with Contender(OURS) as ours, Contender(LIMIT) as limit:
            for contender in run.rotated(ours, limit):
                cold.add(contender.name, run.send(cold.id, contender, notification)[0].wall_ns / 1e6)
            calls = run.alternate(warm.id, (ours, limit), notification, run.scale.warm_calls)
        for name, taken in calls.items():
            warm.add(name, median(call.wall_ns for call in taken) / 1e6)
            if count == CPU_AT:
                run.rows["P5"].add(name, median(call.cpu_ns for call in taken) / count / 1e3)
        for name in run.rotated(HTTPX, APPRISE) if count <= run.scale.peers_up_to else []:
            with Contender(name) as contender:
                # A first call does their imports, which are not measured. They have no connection pool.
                run.send(warm.id, contender, webhooks(run.sink, 0, 1))
                call = run.send(warm.id, contender, notification)[0]
            warm.add(name, call.wall_ns / 1e6)
            if count == CPU_AT:
                run.rows["P5"].add(name, call.cpu_ns / count / 1e3)


def channels(run: Run) -> None:
    """The documentation's example: three different channels. (apprise has no Twilio or Slack at another address.)"""
    row = run.rows["P1 channels"]
    notification = three_channels(run.sink, LATENCY_MS)
    with Contender(OURS) as ours, Contender(LIMIT) as limit, Contender(HTTPX) as peer:
        contenders = (ours, limit, peer)
        run.alternate(row.id, contenders, notification, 1)
        calls = run.alternate(row.id, contenders, notification, run.scale.warm_calls)
    for name, taken in calls.items():
        row.add(name, median(call.wall_ns for call in taken) / 1e6)
