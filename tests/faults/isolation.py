"""The shared check of the fault tests: a failing destination affects neither other destinations nor the process."""

import functools
import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from tests.faults.process_usage import resident_bytes
from tests.harness import ProcessEngine, RealServer, Response, Standin, Trigger, Triggers

MARK = "s3cr3tM4rk"
"""A part of every secret in these tests, which no output may show."""
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
"""Arguments with which every delivery ends before the response."""

LATENESS = 0.1
"""The maximum delay of a response after its ``response_timeout``, in seconds."""
GROWTH = 64 * 1024 * 1024
"""The maximum memory growth of the engine's process during one check, in bytes."""

Configuration = Mapping[str, str]
P = ParamSpec("P")
R = TypeVar("R")


class TooLateError(AssertionError):
    """A response came after its deadline. Other load of the machine can cause this once, but not three times."""


def best_of(tries: int, pause: float = 0.0) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Repeat a test ``pause`` seconds after a :class:`TooLateError`, up to ``tries`` times in total."""

    def decorate(test: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(test)
        def repeated(*args: P.args, **kwargs: P.kwargs) -> R:
            for _ in range(tries - 1):
                try:
                    return test(*args, **kwargs)
                except TooLateError:
                    time.sleep(pause)
            return test(*args, **kwargs)

        return repeated

    return decorate


best_of_three = best_of(3)


@dataclass
class IsolationResult:
    """The response to a checked request."""

    response: Response
    trigger: Trigger
    entries: list[dict[str, Any]]
    """The deliveries to the failing destinations, in the order of the request."""

    @property
    def entry(self) -> dict[str, Any]:
        """The only entry."""
        assert len(self.entries) == 1
        return self.entries[0]

    def lines(self) -> list[tuple[str, str]]:
        """The log lines of this request as (level, text)."""
        task = self.response.json["task_id"]
        return [(level, text) for level, text in self.trigger.log_lines() if task in text]


class IsolationCheck:
    """Sends requests to failing and to working destinations, and checks that the failures stay isolated."""

    _numbers = itertools.count(1)

    def __init__(self, triggers: Triggers, standin: Standin) -> None:
        self.triggers = triggers
        self.standin = standin

    # Destinations

    def working_destination(self, sender: str) -> dict[str, str]:
        """A new destination at the stand-in. Its secrets contain :data:`MARK`."""
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
        """A phone number with a new Twilio account."""
        return {
            "twilio_sid": f"AC{next(self._numbers):032}",
            "twilio_token": MARK + "0" * 22,
            "twilio_from_number": sender,
            "twilio_to_number": to,
        }

    def at(self, sender: str, url: str) -> dict[str, str]:
        """A destination at the base address ``url``, which ends with a slash. Twilio's is an argument."""
        if sender in TWILIO:
            return self.phone(NUMBER)
        path = {"slack": f"services/T0/B0/{MARK}", "discord": f"api/webhooks/1/{MARK}", "http": f"hook/{MARK}"}
        return {f"{sender}_webhook_url": url + path[sender]}

    # Requests

    def check_at(self, sender: str, url: str, **arguments: str) -> IsolationResult:
        """Send by ``sender`` to a failing server at ``url``, and check as in :meth:`check`."""
        if sender in TWILIO:
            arguments.setdefault("twilio_base_url", url)
        return self.check({sender: self.at(sender, url)}, **arguments)

    def check(
        self, failing: Mapping[str, Configuration | Sequence[Configuration]], **arguments: str
    ) -> IsolationResult:
        """Send one request to the failing destinations and to a working one of every other channel.

        Checks that all working destinations are delivered, that the response is in time, that memory stays bounded,
        that no output shows a secret, and that the next request succeeds.

        :param arguments: of the trigger, besides :data:`FAST`.
        """
        failing_by_sender: dict[str, list[Configuration]] = {
            sender: [configured] if isinstance(configured, Mapping) else list(configured)
            for sender, configured in failing.items()
        }
        # A distinct setting: successive calls with equal arguments share their response timeout.
        distinct = {"max_in_flight": str(10_000 + next(self._numbers))}
        arguments = {**FAST, **distinct, "twilio_base_url": self.standin.url, **arguments}
        trigger = self.triggers.create(arguments)
        working = [
            s for s in SENDERS if arguments["twilio_base_url"] == self.standin.url or s not in ("sms", "whatsapp")
        ]
        senders = {
            s: [*failing_by_sender.get(s, []), *([self.working_destination(s)] if s in working else [])]
            for s in SENDERS
        }
        text = f"check {next(self._numbers)}"
        memory_before = resident_bytes(self.pid(trigger))
        response = trigger.notify(
            {"notification_text": text, "senders_config": {s: list(c) for s, c in senders.items() if c}}
        )
        assert response.status == 200, response.text
        assert isinstance(response.json, dict), response.text
        assert isinstance(response.json["results"], dict)
        deliveries = response.json["deliveries"]
        assert len(deliveries) == sum(len(c) for c in senders.values())
        assert all(entry["reason"] != "internal" for entry in deliveries)

        entries: list[dict[str, Any]] = []
        for sender in (s for s in SENDERS if senders[s]):
            mine = [entry for entry in deliveries if entry["sender"] == sender]
            entries += mine[: len(failing_by_sender.get(sender, []))]
            for entry in mine[len(failing_by_sender.get(sender, [])) :]:
                assert entry["outcome"] == "delivered", f"a working destination was not delivered: {entry}"
        received = [message for message in self.standin.messages() if message["text"] == text]
        assert len(received) >= len(working), f"{text!r}: {received}"

        grown = resident_bytes(self.pid(trigger)) - memory_before
        assert grown < GROWTH, f"{grown >> 20} MiB more memory"
        self.check_next_request(trigger)
        self.check_no_secret_shown(trigger, response)
        if response.elapsed > seconds(arguments["response_timeout"]) + LATENESS:
            raise TooLateError(f"{response.elapsed:.3f} s for a response_timeout of {arguments['response_timeout']}")
        return IsolationResult(response, trigger, entries)

    def check_next_request(self, trigger: Trigger) -> None:
        """Check that the next request succeeds."""
        response = trigger.notify(
            {"notification_text": "the next request", "senders_config": {"http": self.working_destination("http")}}
        )
        assert response.status == 200
        assert response.json["results"] == {"http": True}, response.text

    def check_no_secret_shown(self, trigger: Trigger, *responses: Response) -> None:
        """Check that no secret is in a response, the log or a view."""
        shown = [response.text for response in responses]
        shown += [text for _, text in trigger.log_lines()]
        shown += [
            trigger.notify(b"", query={"view": view}, method="GET").text for view in ("status", "metrics", "alerts")
        ]
        for text in shown:
            assert MARK not in text
            assert NUMBER.removeprefix("+") not in text
            assert text.isprintable() or text.startswith("# HELP"), ascii(text)

    def pid(self, trigger: Trigger) -> int:
        """The id of the engine's process."""
        return engine_pid(trigger)


def engine_pid(trigger: Trigger) -> int:
    """The id of the engine's process, which is this process for an engine host in it."""
    engine = trigger.engine
    return engine.pid if isinstance(engine, RealServer | ProcessEngine) else os.getpid()


def seconds(duration: str) -> float:
    """The seconds of a duration argument such as ``150ms``."""
    for unit, factor in (("ms", 0.001), ("s", 1.0)):
        if duration.endswith(unit):
            return float(duration.removesuffix(unit)) * factor
    raise ValueError(duration)
