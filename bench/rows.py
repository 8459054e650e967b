"""The rows of the table: the measurement, the peer and the target."""

from dataclasses import dataclass, field
from enum import Enum
from statistics import median

OURS, LIMIT, HTTPX, APPRISE, NOOP = "ours", "limit", "httpx+twilio", "apprise", "no-op"
RECORDED = "recorded"
"""The figure of P11 that stands in the repository."""
MEMORY = "in memory"
"""Ours without an outbox."""


class Compare(Enum):
    """The value that is compared with the target."""

    RATIO = "ratio"
    DIFFERENCE = "difference"
    VALUE = "value"


@dataclass(frozen=True)
class Target:
    """``figure`` is the most, or with ``at_least`` the least, that is wanted."""

    figure: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a figure is within it."""
        return value >= self.figure if self.at_least else value <= self.figure

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.figure:g}"


@dataclass
class Row:
    """One row; ``samples`` has a figure a round for each contender."""

    id: str
    what: str
    unit: str
    target: Target | None = None
    compare: Compare = Compare.VALUE
    peer: str | None = None
    """The contender that ours is compared with."""
    samples: dict[str, list[float]] = field(default_factory=dict)
    not_run: str | None = None
    """Why there is no figure."""
    note: str = ""

    def add(self, contender: str, figure: float) -> None:
        """A round's figure."""
        self.samples.setdefault(contender, []).append(figure)

    def compared(self) -> list[float]:
        """The values that are compared with the target, one per round."""
        ours = self.samples.get(OURS, [])
        if self.compare is Compare.VALUE or self.peer is None:
            return ours
        peers = self.samples.get(self.peer, [])
        if not peers:
            return []
        if self.compare is Compare.RATIO:
            return [mine / theirs for mine, theirs in zip(ours, peers, strict=True)]
        return [mine - theirs for mine, theirs in zip(ours, peers, strict=True)]

    def is_met(self) -> bool | None:
        """Whether the target is met by the median; None where there is no target or no figure."""
        figures = self.compared()
        return self.target.is_met(median(figures)) if self.target and figures else None


def within(figure: float) -> Target:
    """At most so much."""
    return Target(figure)


def at_least(figure: float) -> Target:
    """At least so much."""
    return Target(figure, at_least=True)


RATIO, DIFFERENCE = Compare.RATIO, Compare.DIFFERENCE
FAN_OUT = {3: 1.05, 10: 1.05, 100: 1.05, 1000: 1.2}
"""Destinations of P1, and how much longer than the limit ours may take."""


def all_rows() -> dict[str, Row]:
    """Every row by its id, in the order of the table."""
    rows = [
        Row(
            f"P1 {count} {state}",
            f"{count} destinations of 100 ms, {state}",
            "ms",
            within(bound),
            RATIO,
            LIMIT,
        )
        for count, bound in FAN_OUT.items()
        for state in ("cold", "warm")
    ]
    rows += [
        Row("P1 channels", "three channels of 100 ms: Slack, Discord, WhatsApp", "ms", within(1.1), RATIO, LIMIT),
        Row("P2", "one Slack notification, no latency, median", "µs", within(45), DIFFERENCE, LIMIT),
        Row("P2 execute", "compiling and executing the plugin's file, as at each call", "µs"),
        Row("P3 1", "Slack requests a second through the engine host, 1 caller", "1/s", at_least(0.7), RATIO, NOOP),
        Row("P3 16", "the same, 16 callers", "1/s", at_least(0.75), RATIO, NOOP),
        Row("P4 1", "the same, 1 caller, over the Python plugin", "1/s", at_least(13), RATIO, HTTPX),
        Row("P4 16", "the same, 16 callers, over the Python plugin", "1/s", at_least(13), RATIO, HTTPX),
        Row("P5", "CPU time a delivery, in a call of 100", "µs", within(1.25), RATIO, LIMIT),
        Row("P6 import", "import, in a fresh interpreter", "ms", within(30)),
        Row("P6 ready", "import to ready: threads and TLS roots too", "ms", within(30)),
        Row("P6 memory", "resident memory that the first notification, over TLS, adds to its host", "MiB", within(6)),
        Row("P7 memory", "10,000 deliveries to silent destinations: memory while they are pending", "MiB", within(64)),
        Row("P7 peak", "the most during the call", "MiB"),
        Row("P7 time", "the same call's time past its answer rule (2 s)", "ms", within(100)),
        Row("P8", "nine fast destinations (100 ms) delivered, beside a slow one of 10 s", "ms"),
        Row("P8 ratio", "nine fast destinations beside a slow one of 10 s, over the nine alone", "×", within(1.1)),
        Row("P9", "a Python thread's counts during 1,000 deliveries of 100 ms", "M/s", at_least(0.95), RATIO, LIMIT),
        Row("P10 destinations", "growth of CPU time with 1 to 1,000 destinations", "exponent", within(1.1)),
        Row("P10 body", "growth of CPU time with a text of 100 B to 1 MB", "exponent", within(1.1)),
        Row("P10 receivers", "growth of CPU time to take up a file of 1 to 10,000 receivers", "exponent", within(1.1)),
        Row("P11", "instructions to parse, route and compose three channels", "k", within(1.05), RATIO, RECORDED),
        Row(
            "P12 file",
            "notifications a second with an outbox in an SQLite file, 16 callers",
            "1/s",
            at_least(0.5),
            RATIO,
            MEMORY,
        ),
        Row("P12 streams", "the same with an outbox on one NATS server on loopback", "1/s", None, RATIO, MEMORY),
        Row("P13 wheel", "the wheel", "MiB", within(6)),
        Row("P13 library", "the compiled library in it", "MiB", within(14)),
        *(
            Row(
                f"P14 {name} {number}",
                f"deliveries a second from a stream, {number} workers, one destination {what}",
                "1/s",
            )
            for name, what in (("fast", "without latency"), ("slow", "of 100 ms"))
            for number in (1, 2, 4)
        ),
        Row("P15", "compiling the plugin's file, over a file of ten lines", "µs", within(2.5), RATIO, NOOP),
        Row("rows", "10,000 rows of one write, until the writers may go on", "ms", within(50)),
        Row("writes", "1,000 rows of one write beside a destination that hangs, longest call", "ms", within(20)),
        Row("history", "what a row of the history adds to a notification", "µs", within(20)),
        Row("core answer", "reading, planning and answering three channels", "µs", within(30)),
        Row("core cut", "1,000,000 characters cut for Discord", "ms", within(20)),
        Row("core load", "a file of 10,000 receivers and 10,000 routes, from its bytes to use", "ms", within(150)),
        Row("core route", "whom 1,000 routes choose, the last of which matches", "µs", within(50)),
        Row("core template", "what a template adds to a notification", "µs", within(50)),
        Row("core guard", "address guard and redaction of one notification", "µs", within(5)),
        Row("core duplicates", "answering 75,000 duplicate keys below sixty long ones", "ms", within(50)),
        Row("core rejects", "answering 10,000 deliveries that cannot be tried", "ms", within(100)),
        Row("core recipients", "planning and answering 10,000 mails", "ms", within(100)),
        Row("core titles", "planning and answering 9,000 titles that Discord cuts", "ms", within(100)),
        Row("core texts", "the same of texts", "ms", within(100)),
    ]
    return {row.id: row for row in rows}
