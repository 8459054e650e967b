"""A channel as its tests know it, and how notifications are sent to several at once."""

import functools
import importlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from influxdb3_notifier import _native
from tests.harness import Response, Standin, Trigger, Triggers

FIRING: dict[str, Any] = {
    "notification_text": "cpu_usage is 97.3 %",
    "title": "CPU of db1 above 95 %",
    "level": "critical",
    "status": "firing",
    "fields": {"host": "db1", "limit": 95, "primary": True},
    "link": "https://grafana.example.com/d/cpu?var-host=db1&from=now-1h",
    "timestamp": "2026-11-25T02:41:58Z",
}
"""The rich notification of every channel's ``rich``."""

KEY = "0123456789abcdef"
"""The idempotency key under which plain and rich forms are compared; its message key is :data:`MESSAGE_KEY`."""


FAST = {
    "response_timeout": "4s",
    "delivery_timeout": "10s",
    "initial_backoff": "10ms",
    "max_backoff": "20ms",
    "max_attempts": "2",
    "on_ambiguous": "report",
}
"""Limits with which every retry ends within one answer."""


@dataclass(frozen=True)
class Reply:
    """What a provider may answer, and what comes of it. A body that is no str goes as JSON."""

    status: int
    body: object = ""
    outcome: str = "failed"
    reason: str | None = None
    detail: str | None = None
    """A part of what the answer says."""
    hint: str = ""
    """A part of the answer's advice."""
    headers: Mapping[str, str] = field(default_factory=dict)
    condemns: bool = False
    """Whether the destination is then left alone for a while."""


def delivered(status: int, body: object = "", **members: Any) -> Reply:
    """A reply that means success."""
    return Reply(status, body, "delivered", **members)


@dataclass(frozen=True)
class Bad:
    """A value that a field does not take, and a part of what is said of it."""

    field: str
    value: object
    words: str


@dataclass(frozen=True)
class Request:
    """What arrives at the provider, below the destination's own place. A body that is no bytes is compared as JSON."""

    body: object
    path: str = ""
    method: str = "POST"
    query: str = ""


@dataclass(frozen=True)
class Channel:
    """What the tests must know of a channel beyond its row in the registry."""

    sender: str
    destination: Callable[[str, int], dict[str, Any]]
    """(base address without a slash at its end, number) to a configuration: each number is a destination of its own."""
    path: str
    """Where its messages arrive below the base address."""
    plain: object
    """The body of ``hi``, as bytes or as JSON."""
    rich: object
    """The body of :data:`FIRING`."""
    taken: Reply
    """How the provider says that it took a message, where a rule has to say it."""
    replies: Sequence[Reply] = ()
    statuses: Mapping[int, tuple[str, str | None]] = field(default_factory=dict)
    """Outcome and reason of statuses with an empty body, where they differ from DELIVERY's table."""
    bad: Sequence[Bad] = ()
    secrets: Mapping[str, Callable[[int], Any]] = field(default_factory=dict)
    """By secret parameter, a value for each number that begins like no other text: ``Qz0001…`` or digits."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of every message, as regular expressions; those of the connection stand besides."""
    resolved: Sequence[str] = ("POST", "POST")
    """Methods of what arrives of a firing and of a resolved with the same dedup key."""
    refusals: Sequence[tuple[Mapping[str, str], bytes, int]] = ()
    """What the stand-in must refuse at :attr:`path`: headers, body, and the status that it answers."""
    place: Callable[[int], str] | None = None
    """Where requests of a destination arrive, if not below ``/at/NUMBER``."""
    patient: bool = False
    """Whether it waits for seconds before another try, whatever the operator says."""
    where: Sequence[str] = ()
    """Fields that say where the provider is, beside addresses and ``base_url``."""

    @property
    def spec(self) -> dict[str, Any]:
        """Its row in the registry."""
        return REGISTRY[self.sender]

    over_http = True
    """Whether statuses are what its provider answers with."""

    @property
    def by_file(self) -> bool:
        """Whether only the configuration file may say where the provider is."""
        return any(parameter["name"] == "base_url" for parameter in self.spec["parameters"])

    def at(self, standin: Standin, number: int) -> dict[str, Any]:
        """A destination at the stand-in."""
        base = standin.url if self.place else f"{standin.url}/at/{number}"
        return self.destination(base, number)

    def place_of(self, number: int) -> str:
        """Where requests of that destination arrive."""
        return self.place(number) if self.place else f"/at/{number}{self.path}"

    def arrived(self, standin: Standin, number: int) -> list[dict[str, Any]]:
        """What has arrived at that destination: ``accepted``, and what the provider objected to, ``problem``."""
        return standin.requests(self.place_of(number))

    def mentions(self, standin: Standin, number: int) -> list[list[str]]:
        """Whom each message that was taken calls; nothing else has been sent."""
        return [message["mentions"] for message in standin.messages()]

    def order(self, standin: Standin, status: int, body: str | None) -> None:
        """Let the provider answer so, wherever it is asked."""
        standin.rule("*", reply={"status": status, **({} if body is None else {"body": body})})

    def check_arrivals(self, standin: Standin) -> None:
        """All that has arrived is such as the provider takes."""
        requests = standin.requests()
        assert requests
        assert all((got["accepted"], got["problem"]) == (True, None) for got in requests), requests

    def of_requests(self) -> list[dict[str, Any]]:
        """The parameters that a request may set."""
        return [parameter for parameter in self.spec["parameters"] if not parameter["operator_only"]]


REGISTRY: dict[str, dict[str, Any]] = {channel["sender"]: channel for channel in json.loads(_native.channels())}


@functools.cache
def channels() -> dict[str, Channel]:
    """Those that have a file here, by sender."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.channels.{path.stem}")
        for channel in getattr(module, "CHANNELS", [getattr(module, "CHANNEL", None)]):
            if channel is not None:
                found[channel.sender] = channel
    return found


NUMBERS = itertools.count(1)
"""Of destinations: none is used by two tests."""


@dataclass
class Sent:
    """What came of one request to several destinations."""

    answer: Response
    trigger: Trigger
    entries: list[dict[str, Any]]
    """The deliveries, in the order of the destinations."""

    @property
    def entry(self) -> dict[str, Any]:
        """The only one."""
        [entry] = self.entries
        return entry


class Sender:
    """Sends requests that reach any destination: those that a request may not name go into a configuration file."""

    def __init__(self, triggers: Triggers, standin: Standin, directory: Path) -> None:
        self.standin = standin
        self._triggers = triggers
        self._directory = directory
        self._made: dict[tuple[tuple[str, str], ...], Trigger] = {}

    def send(
        self,
        destinations: Iterable[tuple[Channel, Mapping[str, Any]]],
        arguments: Mapping[str, str] | None = None,
        **request: Any,
    ) -> Sent:
        """Send one request; ``hi`` when it has no text.

        :param arguments: of the trigger; equal ones within a test are the same trigger.
        """
        wanted = list(destinations)
        senders: dict[str, list[Mapping[str, Any]]] = {}
        lines: list[str] = []
        names: list[str] = []
        for channel, configuration in wanted:
            if channel.by_file:
                names.append(f"receiver{len(names)}")
                lines.append(f"[receivers.{names[-1]}]\n{channel.sender} = {toml(configuration)}\n")
            else:
                senders.setdefault(channel.sender, []).append(configuration)
        given = dict(arguments or {})
        if lines:
            path = self._directory / f"config{next(NUMBERS)}.toml"
            path.write_text("".join(lines), encoding="utf-8")
            given["config_file_path"] = str(path)
        body = {
            "notification_text": "hi",
            "senders_config": senders,
            **({"receivers": names} if names else {}),
            **request,
        }
        trigger = self.trigger(given)
        answer = trigger.notify(json.dumps(body, ensure_ascii=False).encode())
        assert answer.status == 200, answer.text
        return Sent(answer, trigger, list(self._in_order(wanted, answer)))

    def trigger(self, arguments: Mapping[str, str]) -> Trigger:
        """The trigger with these arguments."""
        arguments = {"twilio_base_url": self.standin.url, **arguments}
        key = tuple(sorted(arguments.items()))
        if key not in self._made:
            self._made[key] = self._triggers.create(arguments)
        return self._made[key]

    @staticmethod
    def _in_order(wanted: list[tuple[Channel, Mapping[str, Any]]], answer: Response) -> Iterable[dict[str, Any]]:
        deliveries = answer.json["deliveries"]
        assert len(deliveries) == len(wanted), answer.text
        by_sender: dict[str, list[dict[str, Any]]] = {}
        for entry in deliveries:
            by_sender.setdefault(entry["sender"], []).append(entry)
        for channel, _ in wanted:
            yield by_sender[channel.sender].pop(0)


def toml(value: Any) -> str:
    """A value as TOML writes it, in one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    # A basic string escapes as JSON does, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
