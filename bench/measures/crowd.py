"""P7, P8, P9: silent and slow destinations, and their effect on other destinations."""

from functools import partial
from statistics import median

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
LIMIT_WAITS_MS = 8000
"""The limit's timeout for silent destinations: long enough to open all connections."""
ARRIVAL_SECONDS = 5
SILENT, SILENT_MS = 10_000, 3_600_000
RESERVED_CONNECTIONS = 2 * 12
"""Connections that the notifier keeps free for servers without one (docs/delivery.md, Connections)."""
COUNTED_TURNS, COUNTED_CALLS = 4, 4
HTTPX_TIMEOUT_MS, HTTPX_TRIES = 5000, 3


def silent(run: Run) -> None:
    """A call to 10,000 destinations that never reply.

    Memory is the size while the deliveries are pending, and the peak before that. The limit has no call that
    returns while its requests are in flight, so its figure is the peak.
    """
    rows = [run.rows[name] for name in ("P7 memory", "P7 peak", "P7 time")]
    if not memory.AVAILABLE:
        for row in rows:
            row.not_run = "this system has no /proc"
        return
    notification = webhooks(run.sink, SILENT_MS, SILENT)
    for name in run.rotated(OURS, LIMIT):
        if name == LIMIT and descriptors() < 2 * SILENT:
            rows[0].note = f"the limit would open {SILENT} connections, and ulimit -n is {descriptors()}"
            continue
        with Contender(name) as contender:
            run.send(rows[0].id, contender, webhooks(run.sink, 0, 1))
            run.standin.clear()
            before = memory.resident(contender.pid)
            with memory.peak_resident(contender.pid) as peak:
                call = contender.send_in_vain(notification, LIMIT_WAITS_MS)
            most = max_connections() - RESERVED_CONNECTIONS if name == OURS else notification.count
            opened = min(notification.count, most)
            arrived = run.wait_for_arrivals(opened, ARRIVAL_SECONDS)
            before = call.resident_before or before
            after = memory.resident(contender.pid) if name == OURS else peak.bytes
        check_arrivals(rows[0].id, name, opened, arrived)
        rule_ms = RESPONSE_TIMEOUT_MS if name == OURS else LIMIT_WAITS_MS
        figures = ((after - before) / MIB, (peak.bytes - before) / MIB, call.wall_ns / 1e6 - rule_ms)
        for row, figure in zip(rows, figures, strict=True):
            row.add(name, figure)


def beside_a_slow_one(run: Run) -> None:
    """The delivery time of the last of nine fast destinations, with and without a slow one before them."""
    row, ratio = run.rows["P8"], run.rows["P8 ratio"]
    fast = webhooks(run.sink, FAST_MS, FAST)
    slow = webhooks(run.sink, run.scale.slow_ms, 1)
    both = Notification({"http": slow.senders["http"] + fast.senders["http"]}, slow.wire + fast.wire)
    for name in run.rotated(OURS, LIMIT, HTTPX):
        with Contender(name) as contender:
            run.send(row.id, contender, webhooks(run.sink, 0, FAST))
            alone = run.send(row.id, contender, fast)[0]
            run.standin.clear()
            beside = contender.send(both)[0]
        # httpx gives up after 5 s, and the Python plugin tries again.
        tries = HTTPX_TRIES if name == HTTPX and run.scale.slow_ms > HTTPX_TIMEOUT_MS else 1
        check_arrivals(row.id, name, FAST + tries, run.standin.sink()["requests"])
        figures = [_last(row.id, name, call.delivered_ns[-FAST:]) for call in (beside, alone)]
        row.add(name, figures[0])
        ratio.add(name, figures[0] / figures[1])


def _last(what: str, name: str, delivered_ns: list[int | None]) -> float:
    """The delivery time of the last fast destination, in milliseconds."""
    delivered = [end for end in delivered_ns if end is not None]
    check_answers(what, name, FAST, [len(delivered)])
    return max(delivered) / 1e6


def beside_python(run: Run) -> None:
    """The progress of a Python thread in the notifier's process, and in a process beside the limit."""
    row = run.rows["P9"]
    notification = webhooks(run.sink, FAST_MS, 1000)
    counts: dict[str, list[float]] = {OURS: [], LIMIT: []}
    with Contender(OURS) as ours, Contender(LIMIT) as limit, Contender(NOOP) as bystander:
        run.alternate(row.id, (ours, limit), notification, 1)

        def count_ours() -> None:
            send = partial(ours.send_counting, notification, COUNTED_CALLS)
            calls = run.run_checked(row.id, ours, notification, COUNTED_CALLS, send)
            counts[OURS].append(calls[0].counted / 1e6)

        def count_limit() -> None:
            bystander.ask({"do": "count"})
            run.send(row.id, limit, notification, COUNTED_CALLS)
            counts[LIMIT].append(bystander.ask({"do": "counted"}) / 1e6)

        for count in [count for _ in range(COUNTED_TURNS) for count in run.rotated(count_ours, count_limit)]:
            count()
    for name, taken in counts.items():
        row.add(name, median(taken))
