"""What "it holds" means: a request to something hostile beside destinations that work, and all that must be so then."""

import functools
import itertools
import os
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from tests.harness import ProcessEngine, RealServer, Response, Standin, Trigger, Triggers

MARK = "s3cr3tM4rk"
"""Stands in every secret of these tests and must be found nowhere."""
NUMBER = "+15558675310"
TWILIO = ("sms", "whatsapp")
SENDERS = ("slack", "discord", "http", *TWILIO)

FAST = {
    "response_timeout": "2s",
    "delivery_timeout": "1500ms",
    "initial_backoff": "10ms",
    "max_backoff": "20ms",
    "max_attempts": "3",
    "connect_timeout": "100ms",
    "attempt_timeout": "150ms",
}
"""Arguments by which every row ends within one answer."""

LATENESS = 0.1
"""Seconds by which an answer may come after its ``response_timeout``."""
GROWTH = 64 * 1024 * 1024
"""Bytes by which one row may let the engine's process grow."""

Configuration = Mapping[str, str]
P = ParamSpec("P")
R = TypeVar("R")


class TooLateError(AssertionError):
    """An answer came after its deadline: once may be the machine's fault, three times is not."""


def best_of(tries: int, pause: float = 0.0) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Run a test again, ``pause`` seconds later, when all that it found is that something came too late."""

    def decorate(test: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(test)
        def tried(*args: P.args, **kwargs: P.kwargs) -> R:
            for _ in range(tries - 1):
                try:
                    return test(*args, **kwargs)
                except TooLateError:
                    time.sleep(pause)
            return test(*args, **kwargs)

        return tried

    return decorate


best_of_three = best_of(3)


@dataclass
class Held:
    """What came of a request that held."""

    answer: Response
    trigger: Trigger
    entries: list[dict[str, Any]]
    """The deliveries to what is hostile, in the order in which they were given."""

    @property
    def entry(self) -> dict[str, Any]:
        """The only one."""
        assert len(self.entries) == 1
        return self.entries[0]

    def lines(self) -> list[tuple[str, str]]:
        """(level, text) of this request's log lines."""
        task = self.answer.json["task_id"]
        return [(level, text) for level, text in self.trigger.log_lines() if task in text]


class Scene:
    """Sends to what is hostile and to what works, and looks whether it holds."""

    _numbers = itertools.count(1)

    def __init__(self, triggers: Triggers, standin: Standin) -> None:
        self.triggers = triggers
        self.standin = standin

    # Destinations

    def good(self, sender: str) -> dict[str, str]:
        """A destination of the stand-in that nobody else has; its secrets bear the mark."""
        n = next(self._numbers)
        match sender:
            case "slack":
                return {"slack_webhook_url": f"{self.standin.url}/services/T{n:08}/B{n:08}/{MARK}{'X' * 14}"}
            case "discord":
                return {"discord_webhook_url": f"{self.standin.url}/api/webhooks/{10**17 + n}/{MARK}{'a' * 58}"}
            case "http":
                return {"http_webhook_url": f"{self.standin.url}/hook/{MARK}{n}"}
            case _:
                return self.phone(NUMBER)

    def phone(self, to: str, *, sender: str = "+15017122661") -> dict[str, str]:
        """A number of an account of its own."""
        return {
            "twilio_sid": f"AC{next(self._numbers):032}",
            "twilio_token": MARK + "0" * 22,
            "twilio_from_number": sender,
            "twilio_to_number": to,
        }

    def at(self, sender: str, url: str) -> dict[str, str]:
        """A destination at a base address that ends with a slash; Twilio's is an argument of the trigger."""
        if sender in TWILIO:
            return self.phone(NUMBER)
        path = {"slack": f"services/T0/B0/{MARK}", "discord": f"api/webhooks/1/{MARK}", "http": f"hook/{MARK}"}
        return {f"{sender}_webhook_url": url + path[sender]}

    # Requests

    def holds_at(self, sender: str, url: str, **arguments: str) -> Held:
        """Send by ``sender`` to what misbehaves at ``url``."""
        if sender in TWILIO:
            arguments.setdefault("twilio_base_url", url)
        return self.holds({sender: self.at(sender, url)}, **arguments)

    def holds(self, hostile: Mapping[str, Configuration | Sequence[Configuration]], **arguments: str) -> Held:
        """Send one request to ``hostile`` and to one working destination of every other channel, and look after it all.

        :param arguments: of the trigger, beyond :data:`FAST`.
        """
        given: dict[str, list[Configuration]] = {
            sender: [configured] if isinstance(configured, Mapping) else list(configured)
            for sender, configured in hostile.items()
        }
        # Settings of its own: calls with equal arguments right after one another share their time to wait.
        own = {"max_in_flight": str(10_000 + next(self._numbers))}
        arguments = {**FAST, **own, "twilio_base_url": self.standin.url, **arguments}
        trigger = self.triggers.create(arguments)
        working = [
            s for s in SENDERS if arguments["twilio_base_url"] == self.standin.url or s not in ("sms", "whatsapp")
        ]
        senders = {s: [*given.get(s, []), *([self.good(s)] if s in working else [])] for s in SENDERS}
        text = f"row {next(self._numbers)}"
        before = resident_bytes(self.pid(trigger))
        answer = trigger.notify(
            {"notification_text": text, "senders_config": {s: list(c) for s, c in senders.items() if c}}
        )
        assert answer.status == 200, answer.text
        assert isinstance(answer.json, dict), answer.text
        assert isinstance(answer.json["results"], dict)
        deliveries = answer.json["deliveries"]
        assert len(deliveries) == sum(len(c) for c in senders.values())
        assert all(entry["reason"] != "internal" for entry in deliveries)

        entries: list[dict[str, Any]] = []
        for sender in (s for s in SENDERS if senders[s]):
            mine = [entry for entry in deliveries if entry["sender"] == sender]
            entries += mine[: len(given.get(sender, []))]
            for entry in mine[len(given.get(sender, [])) :]:
                assert entry["outcome"] == "delivered", f"another channel was not delivered: {entry}"
        received = [message for message in self.standin.messages() if message["text"] == text]
        assert len(received) >= len(working), f"{text!r}: {received}"

        grown = resident_bytes(self.pid(trigger)) - before
        assert grown < GROWTH, f"{grown >> 20} MiB more memory"
        self.works(trigger)
        self.shows_no_secret(trigger, answer)
        if answer.elapsed > seconds(arguments["response_timeout"]) + LATENESS:
            raise TooLateError(f"{answer.elapsed:.3f} s for a response_timeout of {arguments['response_timeout']}")
        return Held(answer, trigger, entries)

    def works(self, trigger: Trigger) -> None:
        """The next request works."""
        answer = trigger.notify({"notification_text": "the next one", "senders_config": {"http": self.good("http")}})
        assert answer.status == 200
        assert answer.json["results"] == {"http": True}, answer.text

    def shows_no_secret(self, trigger: Trigger, *answers: Response) -> None:
        """No secret is in an answer, the log or a view."""
        shown = [answer.text for answer in answers]
        shown += [text for _, text in trigger.log_lines()]
        shown += [trigger.notify(b"", query={"view": view}, method="GET").text for view in ("status", "metrics")]
        for text in shown:
            assert MARK not in text
            assert NUMBER.removeprefix("+") not in text
            assert text.isprintable() or text.startswith("# HELP"), ascii(text)

    def pid(self, trigger: Trigger) -> int:
        """The engine's process."""
        return engine_pid(trigger)


def engine_pid(trigger: Trigger) -> int:
    """The process that the engine runs in: this one, unless it is a real server."""
    engine = trigger.engine
    return engine.pid if isinstance(engine, RealServer | ProcessEngine) else os.getpid()


def seconds(duration: str) -> float:
    """A duration as the arguments have it."""
    for unit, factor in (("ms", 0.001), ("s", 1.0)):
        if duration.endswith(unit):
            return float(duration.removesuffix(unit)) * factor
    raise ValueError(duration)


def resident_bytes(pid: int) -> int:
    """Memory of a process that is not swapped out."""
    statistics = Path(f"/proc/{pid}/statm")
    if statistics.is_file():
        return int(statistics.read_text().split()[1]) * resource.getpagesize()
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True, text=True)
    return int(shown.stdout) * 1024


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had; where that cannot be had, what it has now."""
    status = Path(f"/proc/{pid}/status")
    if not status.is_file():
        return resident_bytes(pid)
    [peak] = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(peak) * 1024


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used: unlike the clock's it does not grow with what else the machine does."""
    statistics = Path(f"/proc/{pid}/stat")
    if statistics.is_file():
        user, system = statistics.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    shown = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], check=True, capture_output=True, text=True)
    total = 0.0
    for part in shown.stdout.strip().split(":"):
        total = total * 60 + float(part)
    return total


def open_descriptors(pid: int) -> int:
    """Open files of a process."""
    listed = Path(f"/proc/{pid}/fd")
    if listed.is_dir():
        return len(list(listed.iterdir()))
    shown = subprocess.run(["lsof", "-n", "-P", "-p", str(pid)], check=True, capture_output=True, text=True)
    return len(shown.stdout.splitlines()) - 1


def notifier_threads(pid: int) -> int:
    """Threads of ours in a process; where their names cannot be had, all threads."""
    tasks = Path(f"/proc/{pid}/task")
    if tasks.is_dir():
        return sum(name.read_text().startswith("notifier") for name in tasks.glob("*/comm"))
    shown = subprocess.run(["ps", "-M", "-p", str(pid)], check=True, capture_output=True, text=True)
    return len(shown.stdout.splitlines()) - 1
