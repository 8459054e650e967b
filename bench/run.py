"""One run: the sink, the rows, and the measuring of a call with all that must hold for it to count."""

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
"""What 10,000 connections and the rest need; more are not asked for, since the notifier's bounds follow the limit."""

T = TypeVar("T")
Series = dict[str, dict[int, list[float]]]


@dataclass(frozen=True)
class Effort:
    """How much is measured in each round."""

    rounds: int
    destinations: Sequence[int]
    peers_up_to: int
    """Destinations beyond which the peers are not asked: one after another they take their time."""
    warm_calls: int
    single_calls: int
    load_requests: int
    slow_ms: int
    is_whole: bool
    """Whether the results may stand in the repository."""


FULL = Effort(
    rounds=3,
    destinations=(3, 10, 100, 1000),
    peers_up_to=1000,
    warm_calls=7,
    single_calls=2000,
    load_requests=4000,
    slow_ms=10_000,
    is_whole=True,
)
QUICK = replace(
    FULL, rounds=1, peers_up_to=10, warm_calls=3, single_calls=500, load_requests=500, slow_ms=3_000, is_whole=False
)


class Run:
    """A run in progress."""

    def __init__(self, effort: Effort, standin: Standin) -> None:
        self.effort = effort
        self.standin = standin
        self.rows: dict[str, Row] = all_rows()
        self.series: dict[str, Series] = {"destinations": {}, "body": {}}
        """CPU seconds a call of each contender by size, a list with one figure a round."""
        self.round = 0

    @property
    def sink(self) -> str:
        """The sink's base address."""
        return self.standin.url

    def order(self, *contenders: T) -> list[T]:
        """The contenders, each round beginning with another: none has always the same neighbour."""
        turn = self.round % len(contenders)
        return [*contenders[turn:], *contenders[:turn]]

    def send(self, what: str, contender: Contender, notification: Notification, times: int = 1) -> list[Call]:
        """Have a contender send a notification so often; refuse if anything of it did not arrive or was no success."""
        return self.checked(what, contender, notification, times, lambda: contender.send(notification, times))

    def checked(
        self, what: str, contender: Contender, notification: Notification, times: int, send: Callable[[], list[Call]]
    ) -> list[Call]:
        """What was sent, if all of it arrived and was a success."""
        self.standin.clear()
        calls = send()
        check_answers(what, contender.name, notification.count, [call.delivered for call in calls])
        self.check_sink(what, contender.name, notification, times)
        return calls

    def alternate(
        self, what: str, contenders: Sequence[Contender], notification: Notification, turns: int, times: int = 1
    ) -> dict[str, list[Call]]:
        """Have contenders send in turns, so that what disturbs the machine for a while disturbs all of them."""
        calls: dict[str, list[Call]] = {contender.name: [] for contender in contenders}
        for _ in range(turns):
            for contender in self.order(*contenders):
                calls[contender.name] += self.send(what, contender, notification, times)
        return calls

    def arrived(self, expected: int, seconds: float) -> int:
        """How many requests the sink has seen, once it has had so long to see what is expected."""
        deadline = time.monotonic() + seconds
        while (seen := int(self.standin.sink()["requests"])) < expected and time.monotonic() < deadline:
            time.sleep(0.05)
        return seen

    def check_sink(self, what: str, contender: str, notification: Notification, times: int) -> None:
        """Refuse if the sink saw anything else than this notification, so often."""
        report = self.standin.sink()
        check_arrivals(what, contender, notification.count * times, report["requests"])
        if contender in (OURS, LIMIT):
            check_same_bytes(what, contender, notification.body_bytes * times, report["body_bytes"])


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files, as far as needed and allowed; returns it as it was."""
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


def effort() -> Effort:
    """``BENCH_QUICK=1`` for a look, ``ROUNDS=5`` for more; three rounds otherwise."""
    chosen = QUICK if os.environ.get("BENCH_QUICK", "") not in ("", "0") else FULL
    rounds = os.environ.get("ROUNDS", "")
    if rounds and not (rounds.isdecimal() and int(rounds) > 0):
        raise SystemExit(f"ROUNDS={rounds}: a number of rounds is wanted, such as ROUNDS=3")
    return replace(chosen, rounds=int(rounds)) if rounds else chosen
