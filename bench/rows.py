"""The rows of the table: the measurement, the peer and the target."""

from dataclasses import dataclass, field
from enum import Enum
from statistics import median

OURS, LIMIT, HTTPX, APPRISE, NOOP = "ours", "limit", "httpx+twilio", "apprise", "no-op"
RECORDED = "recorded"
"""The figure of P11 in the repository."""
MEMORY = "in memory"
"""The notifier without an outbox."""


class Compare(Enum):
    """The value that is compared with the target."""

    RATIO = "ratio"
    DIFFERENCE = "difference"
    VALUE = "value"


@dataclass(frozen=True)
class Target:
    """``figure`` is the maximum, or with ``at_least`` the minimum."""

    figure: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a figure meets the target."""
        return value >= self.figure if self.at_least else value <= self.figure

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.figure:g}"


@dataclass
class Row:
    """One row. ``samples`` has one figure per round for each contender."""

    id: str
    what: str
    unit: str
    target: Target | None = None
    compare: Compare = Compare.VALUE
    peer: str | None = None
    """The contender for the comparison."""
    samples: dict[str, list[float]] = field(default_factory=dict)
    not_run: str | None = None
    """The reason why there is no figure."""
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
    """At most ``figure``."""
    return Target(figure)


def at_least(figure: float) -> Target:
    """At least ``figure``."""
    return Target(figure, at_least=True)


RATIO, DIFFERENCE = Compare.RATIO, Compare.DIFFERENCE
FAN_OUT = {3: 1.05, 10: 1.05, 100: 1.05, 1000: 1.2}
"""The numbers of destinations of P1, and the target ratios to the limit."""


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
        Row("P2 execute", "compiling and executing the plugin file, as the engine does at each call", "µs"),
        Row("P3 1", "Slack requests a second through the engine host, 1 caller", "1/s", at_least(0.7), RATIO, NOOP),
        Row("P3 16", "Slack requests a second through the engine host, 16 callers", "1/s", at_least(0.75), RATIO, NOOP),
        Row(
            "P4 1", "requests a second with 1 caller, relative to the Python plugin", "1/s", at_least(13), RATIO, HTTPX
        ),
        Row(
            "P4 16",
            "requests a second with 16 callers, relative to the Python plugin",
            "1/s",
            at_least(13),
            RATIO,
            HTTPX,
        ),
        Row("P5", "CPU time per delivery in a call with 100 deliveries", "µs", within(1.25), RATIO, LIMIT),
        Row("P6 import", "import in a new interpreter", "ms", within(30)),
        Row("P6 ready", "import and start, with threads and TLS roots", "ms", within(30)),
        Row("P6 memory", "growth of resident memory by the first notification over TLS", "MiB", within(6)),
        Row("P7 memory", "10,000 deliveries to silent destinations: memory while they are pending", "MiB", within(64)),
        Row("P7 peak", "peak memory growth during the call", "MiB"),
        Row("P7 time", "delay of the call's response after its response_timeout (2 s)", "ms", within(100)),
        Row("P8", "duration of nine fast destinations (100 ms) with a slow tenth (10 s)", "ms"),
        Row("P8 ratio", "the same duration, relative to nine fast destinations alone", "×", within(1.1)),
        Row("P9", "a Python thread's counts during 1,000 deliveries of 100 ms", "M/s", at_least(0.95), RATIO, LIMIT),
        Row("P10 destinations", "growth of CPU time with 1 to 1,000 destinations", "exponent", within(1.1)),
        Row("P10 body", "growth of CPU time with a text of 100 B to 1 MB", "exponent", within(1.1)),
        Row("P10 receivers", "growth of CPU time to load a file of 1 to 10,000 receivers", "exponent", within(1.1)),
        Row("P11", "instructions to parse, route and compose three channels", "k", within(1.05), RATIO, RECORDED),
        Row(
            "P12 file",
            "notifications a second with an outbox in an SQLite file, 16 callers",
            "1/s",
            at_least(0.5),
            RATIO,
            MEMORY,
        ),
        Row(
            "P12 streams",
            "notifications a second with an outbox on one loopback NATS server, 16 callers",
            "1/s",
            None,
            RATIO,
            MEMORY,
        ),
        Row("P13 wheel", "the wheel", "MiB", within(6)),
        Row("P13 library", "the compiled library in the wheel", "MiB", within(14)),
        *(
            Row(
                f"P14 {name} {number}",
                f"deliveries a second from a stream, {number} workers, one destination {what}",
                "1/s",
            )
            for name, what in (("fast", "without latency"), ("slow", "of 100 ms"))
            for number in (1, 2, 4)
        ),
        Row("P15", "compiling the plugin file, relative to a file of ten lines", "µs", within(2.5), RATIO, NOOP),
        Row("rows", "blocking time of a write of 10,000 rows", "ms", within(50)),
        Row("writes", "longest call for writes of 1,000 rows while a destination hangs", "ms", within(20)),
        Row("history", "additional time of a notification with a history row", "µs", within(20)),
        Row("core answer", "parsing, planning and responding for three channels", "µs", within(30)),
        Row("core cut", "truncating 1,000,000 characters for Discord", "ms", within(20)),
        Row("core load", "loading a file of 10,000 receivers and 10,000 routes", "ms", within(150)),
        Row("core route", "evaluation of 1,000 routes, of which the last matches", "µs", within(50)),
        Row("core template", "additional time of a notification with a template", "µs", within(50)),
        Row("core guard", "address guard and redaction of one notification", "µs", within(5)),
        Row("core duplicates", "rejecting 75,000 duplicate keys below sixty long keys", "ms", within(50)),
        Row("core rejects", "responding to 10,000 invalid deliveries", "ms", within(100)),
        Row("core recipients", "planning 10,000 mails, and responding", "ms", within(100)),
        Row("core titles", "planning 9,000 titles that are too long for Discord, and responding", "ms", within(100)),
        Row("core texts", "planning 9,000 texts that are too long for Discord, and responding", "ms", within(100)),
    ]
    return {row.id: row for row in rows}
