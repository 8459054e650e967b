"""P7, P8, P9: silent and slow destinations, and what is left for others."""

from bench import memory
from bench.checks import check_answers, check_arrivals
from bench.messages import Notification, webhooks
from bench.processes import Contender
from bench.rows import HTTPX, LIMIT, NOOP, OURS
from bench.run import Run, descriptors, max_connections

MIB = 1024 * 1024
FAST, FAST_MS = 9, 100
RESPONSE_TIMEOUT_MS = 2000
"""The notifier's default."""
SILENT_MS = 3_600_000
COUNTED_CALLS = 5
HTTPX_TIMEOUT_MS, HTTPX_TRIES = 5000, 3


def silent(run: Run) -> None:
    """A call to 10,000 destinations of which none ever answers. Memory is the most seen until the call has returned."""
    size, time = run.rows["P7 memory"], run.rows["P7 time"]
    if not memory.AVAILABLE:
        size.not_run = "this system has no /proc"
    notification = webhooks(run.sink, SILENT_MS, run.effort.silent)
    for name in run.order(OURS, LIMIT):
        if name == LIMIT and descriptors() < 2 * run.effort.silent:
            size.note = f"the limit opens {run.effort.silent} connections, the descriptor limit is {descriptors()}"
            continue
        with Contender(name) as contender:
            run.send(size.id, contender, webhooks(run.sink, 0, 1))
            run.standin.clear()
            before = memory.resident(contender.pid) if memory.AVAILABLE else 0
            with memory.peak_resident(contender.pid) as peak:
                call = contender.send(notification, timeout_ms=RESPONSE_TIMEOUT_MS)[0]
        opened = min(notification.count, max_connections()) if name == OURS else notification.count
        check_arrivals(size.id, name, opened, run.standin.sink()["requests"])
        if memory.AVAILABLE:
            size.add(name, (peak.bytes - before) / MIB)
        time.add(name, call.wall_ns / 1e6 - RESPONSE_TIMEOUT_MS)


def beside_a_slow_one(run: Run) -> None:
    """When the last of nine fast destinations is delivered, with a slow one named first and without it."""
    row, ratio = run.rows["P8"], run.rows["P8 ratio"]
    fast = webhooks(run.sink, FAST_MS, FAST)
    slow = webhooks(run.sink, run.effort.slow_ms, 1)
    both = Notification({"http": slow.senders["http"] + fast.senders["http"]}, slow.wire + fast.wire)
    for name in run.order(OURS, LIMIT, HTTPX):
        with Contender(name) as contender:
            run.send(row.id, contender, webhooks(run.sink, 0, FAST))
            alone = run.send(row.id, contender, fast)[0]
            run.standin.clear()
            beside = contender.send(both)[0]
        # httpx gives up after 5 s, and the Python plugin tries again.
        tries = HTTPX_TRIES if name == HTTPX and run.effort.slow_ms > HTTPX_TIMEOUT_MS else 1
        check_arrivals(row.id, name, FAST + tries, run.standin.sink()["requests"])
        figures = [_last(row.id, name, call.delivered_ns[-FAST:]) for call in (beside, alone)]
        row.add(name, figures[0])
        ratio.add(name, figures[0] / figures[1])


def _last(what: str, name: str, delivered_ns: list[int | None]) -> float:
    """When the last of the fast ones was delivered, in milliseconds."""
    delivered = [end for end in delivered_ns if end is not None]
    check_answers(what, name, FAST, [len(delivered)])
    return max(delivered) / 1e6


def beside_python(run: Run) -> None:
    """How far a Python thread gets with its own work, in our process and in one beside the limit."""
    row = run.rows["P9"]
    notification = webhooks(run.sink, FAST_MS, 1000)
    for name in run.order(OURS, LIMIT):
        with Contender(name) as contender, Contender(NOOP) as bystander:
            run.send(row.id, contender, notification)
            counting = contender if name == OURS else bystander
            counting.ask({"do": "count"})
            run.send(row.id, contender, notification, COUNTED_CALLS)
            row.add(name, counting.ask({"do": "counted"}) / 1e6)
