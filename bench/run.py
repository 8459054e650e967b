"""One run: the sink, the rows, and checked measurements of calls."""

import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from bench.checks import check_answers, check_arrivals, check_same_bytes
from bench.messages import Notification
from bench.processes import Call, Contender
from bench.rows import LIMIT, OURS, Row, all_rows
from tests.harness import Standin

DESCRIPTORS = 20_000
"""The descriptors for 10,000 connections. Not more, because the notifier's bounds depend on the limit."""

T = TypeVar("T")
Series = dict[str, dict[int, list[float]]]


@dataclass(frozen=True)
class Scale:
    """The amount of measurements per round."""

    rounds: int
    destinations: Sequence[int]
    peers_up_to: int
    """The maximum number of destinations for peers, which send in sequence."""
    warm_calls: int
    single_calls: int
    load_requests: int
    slow_ms: int
    is_complete: bool
    """Whether the results are complete enough for the repository."""


FULL = Scale(
    rounds=3,
    destinations=(3, 10, 100, 1000),
    peers_up_to=1000,
    warm_calls=7,
    single_calls=2000,
    load_requests=4000,
    slow_ms=10_000,
    is_complete=True,
)
QUICK = replace(
    FULL, rounds=1, peers_up_to=10, warm_calls=3, single_calls=500, load_requests=500, slow_ms=3_000, is_complete=False
)


class Run:
    """A run in progress."""

    def __init__(self, scale: Scale, standin: Standin) -> None:
        self.scale = scale
        self.standin = standin
        self.rows: dict[str, Row] = all_rows()
        self.series: dict[str, Series] = {"destinations": {}, "body": {}}
        """CPU seconds a call of each contender by size, a list with one figure a round."""
        self.round = 0

    @property
    def sink(self) -> str:
        """The sink's base address."""
        return self.standin.url

    def rotated(self, *contenders: T) -> list[T]:
        """The contenders in rotated order: each round begins with another one."""
        turn = self.round % len(contenders)
        return [*contenders[turn:], *contenders[:turn]]

    def send(self, measurement: str, contender: Contender, notification: Notification, times: int = 1) -> list[Call]:
        """Let a contender send a notification ``times`` times. Raises if a message did not arrive or failed."""
        return self.run_checked(
            measurement, contender, notification, times, lambda: contender.send(notification, times)
        )

    def run_checked(
        self,
        measurement: str,
        contender: Contender,
        notification: Notification,
        times: int,
        send: Callable[[], list[Call]],
    ) -> list[Call]:
        """The calls, if all messages arrived and succeeded."""
        self.standin.clear()
        calls = send()
        check_answers(measurement, contender.name, notification.count, [call.delivered for call in calls])
        self.check_sink(measurement, contender.name, notification, times)
        return calls

    def alternate(
        self, measurement: str, contenders: Sequence[Contender], notification: Notification, turns: int, times: int = 1
    ) -> dict[str, list[Call]]:
        """Let contenders send in alternating turns, so that temporary load affects all of them."""
        calls: dict[str, list[Call]] = {contender.name: [] for contender in contenders}
        for _ in range(turns):
            for contender in self.rotated(*contenders):
                calls[contender.name] += self.send(measurement, contender, notification, times)
        return calls

    def wait_for_arrivals(self, expected: int, seconds: float) -> int:
        """Wait for the expected requests at the sink, and return their number."""
        deadline = time.monotonic() + seconds
        while (seen := int(self.standin.sink()["requests"])) < expected and time.monotonic() < deadline:
            time.sleep(0.05)
        return seen

    def check_sink(self, measurement: str, contender: str, notification: Notification, times: int) -> None:
        """Raise if the sink received other requests than this notification ``times`` times."""
        report = self.standin.sink()
        check_arrivals(measurement, contender, notification.count * times, report["requests"])
        if contender in (OURS, LIMIT):
            check_same_bytes(measurement, contender, notification.body_bytes * times, report["body_bytes"])


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the needed or allowed number; returns the previous limit."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    after = max(before, DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (after, hard))
    return before


def descriptors() -> int:
    """The soft limit of open files."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def max_connections() -> int:
    """The notifier's default: an eighth of the descriptors, 64 to 1,024."""
    return min(max(descriptors() // 8, 64), 1024)


def scale() -> Scale:
    """The scale from the variables ``BENCH_QUICK=1`` and ``ROUNDS=5``; by default three rounds."""
    chosen = QUICK if os.environ.get("BENCH_QUICK", "") not in ("", "0") else FULL
    rounds = os.environ.get("ROUNDS", "")
    if rounds and not (rounds.isdecimal() and int(rounds) > 0):
        raise SystemExit(f"ROUNDS={rounds}: must be a number of rounds, such as ROUNDS=3")
    return replace(chosen, rounds=int(rounds)) if rounds else chosen
