"""The specification of a channel for its tests, and requests to several channels."""

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
"""The rich notification whose body every channel gives as ``rich``."""

KEY = "0123456789abcdef"
"""The idempotency key of the comparisons of plain and rich bodies."""


FAST = {
    "response_timeout": "4s",
    "delivery_timeout": "10s",
    "initial_backoff": "10ms",
    "max_backoff": "20ms",
    "max_attempts": "2",
    "on_ambiguous": "report",
}
"""Arguments with which all retries end before the response."""


@dataclass(frozen=True)
class Reply:
    """A provider's reply, and the expected result. A body of another type than str is sent as JSON."""

    status: int
    body: object = ""
    outcome: str = "failed"
    reason: str | None = None
    detail: str | None = None
    """A part of the entry's detail."""
    hint: str = ""
    """A part of the entry's hint."""
    headers: Mapping[str, str] = field(default_factory=dict)
    pauses_destination: bool = False
    """Whether the reply pauses the destination."""


def delivered(status: int, body: object = "", **members: Any) -> Reply:
    """A reply that means success."""
    return Reply(status, body, "delivered", **members)


@dataclass(frozen=True)
class InvalidValue:
    """An invalid value of a field, and a part of the error message."""

    field: str
    value: object
    words: str


@dataclass(frozen=True)
class ExpectedRequest:
    """An expected request to a provider. A body of another type than bytes is compared as JSON."""

    body: object
    path: str = ""
    method: str = "POST"
    query: str = ""


@dataclass(frozen=True)
class ChannelSpec:
    """The facts about a channel that its tests need and its registry entry lacks."""

    sender: str
    destination: Callable[[str, int], dict[str, Any]]
    """(base address without a final slash, number) to a configuration. Each number is a different destination."""
    path: str
    """The path of its messages below the base address."""
    plain: object
    """The body of the text ``hi``, as bytes or as JSON."""
    rich: object
    """The body of :data:`FIRING`."""
    success: Reply
    """The provider's reply to an accepted message, for rules of the stand-in."""
    replies: Sequence[Reply] = ()
    statuses: Mapping[int, tuple[str, str | None]] = field(default_factory=dict)
    """Outcome and reason of statuses with an empty body that differ from the common table."""
    invalid_values: Sequence[InvalidValue] = ()
    secrets: Mapping[str, Callable[[int], Any]] = field(default_factory=dict)
    """By secret parameter, a unique value for each number: ``Qz0001…`` or digits."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The headers of every message as regular expressions, without those of the connection."""
    resolved: Sequence[str] = ("POST", "POST")
    """The methods of the requests for a firing and a resolved notification with one dedup key."""
    rejected_requests: Sequence[tuple[Mapping[str, str], bytes, int]] = ()
    """Requests to :attr:`path` that the stand-in rejects: headers, body, and the status of its reply."""
    path_of_number: Callable[[int], str] | None = None
    """The path of a destination's requests by its number; None: below ``/at/NUMBER``."""
    has_long_backoff: bool = False
    """Whether it waits for seconds before a retry, even with a shorter ``initial_backoff``."""
    own_tests: Sequence[str] = ()
    """Optional parameters whose examples change more than one member; the channel's own tests send them."""
    rich_only: Sequence[str] = ()
    """Optional parameters that show in rich notifications only."""
    address_fields: Sequence[str] = ()
    """Fields that decide the provider's address, besides URLs and ``base_url``."""

    @property
    def registry_entry(self) -> dict[str, Any]:
        """The channel's entry in the registry."""
        return REGISTRY[self.sender]

    over_http = True
    """Whether its provider replies with HTTP statuses."""

    @property
    def needs_config_file(self) -> bool:
        """Whether only a configuration file may set the provider's address."""
        return any(parameter["name"] == "base_url" for parameter in self.registry_entry["parameters"])

    def at(self, standin: Standin, number: int) -> dict[str, Any]:
        """A destination at the stand-in."""
        base = standin.url if self.path_of_number else f"{standin.url}/at/{number}"
        return self.destination(base, number)

    def path_of(self, number: int) -> str:
        """The path of that destination's requests."""
        return self.path_of_number(number) if self.path_of_number else f"/at/{number}{self.path}"

    def received(self, standin: Standin, number: int) -> list[dict[str, Any]]:
        """The requests to that destination, with ``accepted`` and the provider's objection ``problem``."""
        return standin.requests(self.path_of(number))

    def mentions(self, standin: Standin, number: int) -> list[list[str]]:
        """The mentions of each accepted message."""
        return [message["mentions"] for message in standin.messages()]

    def set_reply(self, standin: Standin, status: int, body: str | None) -> None:
        """Let the provider reply with this to every request."""
        standin.rule("*", reply={"status": status, **({} if body is None else {"body": body})})

    def check_arrivals(self, standin: Standin) -> None:
        """Check that the provider accepts all received requests."""
        requests = standin.requests()
        assert requests
        assert all((got["accepted"], got["problem"]) == (True, None) for got in requests), requests

    def request_parameters(self) -> list[dict[str, Any]]:
        """The parameters that a request may set."""
        return [parameter for parameter in self.registry_entry["parameters"] if not parameter["operator_only"]]


REGISTRY: dict[str, dict[str, Any]] = {channel["sender"]: channel for channel in json.loads(_native.channels())}


@functools.cache
def channels() -> dict[str, ChannelSpec]:
    """The channels with a test file, by sender."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.channels.{path.stem}")
        for channel in getattr(module, "CHANNELS", [getattr(module, "CHANNEL", None)]):
            if channel is not None:
                found[channel.sender] = channel
    return found


NUMBERS = itertools.count(1)
"""Numbers of destinations, each for one test."""


@dataclass
class SendResult:
    """The response to a request with several destinations."""

    response: Response
    trigger: Trigger
    entries: list[dict[str, Any]]
    """The deliveries, in the order of the destinations."""

    @property
    def entry(self) -> dict[str, Any]:
        """The only entry."""
        [entry] = self.entries
        return entry


class RequestSender:
    """Sends requests to any destinations. Those that a request may not name go into a configuration file."""

    def __init__(self, triggers: Triggers, standin: Standin, directory: Path) -> None:
        self.standin = standin
        self._triggers = triggers
        self._directory = directory
        self._triggers_by_arguments: dict[tuple[tuple[str, str], ...], Trigger] = {}

    def send(
        self,
        destinations: Iterable[tuple[ChannelSpec, Mapping[str, Any]]],
        arguments: Mapping[str, str] | None = None,
        **request: Any,
    ) -> SendResult:
        """Send one request, by default with the text ``hi``.

        :param arguments: of the trigger. Requests with equal arguments share a trigger.
        """
        destinations_in_order = list(destinations)
        senders: dict[str, list[Mapping[str, Any]]] = {}
        lines: list[str] = []
        names: list[str] = []
        for channel, configuration in destinations_in_order:
            if channel.needs_config_file:
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
        response = trigger.notify(json.dumps(body, ensure_ascii=False).encode())
        assert response.status == 200, response.text
        return SendResult(response, trigger, list(self._in_order(destinations_in_order, response)))

    def trigger(self, arguments: Mapping[str, str]) -> Trigger:
        """The trigger with these arguments, created at the first call."""
        arguments = {"twilio_base_url": self.standin.url, **arguments}
        key = tuple(sorted(arguments.items()))
        if key not in self._triggers_by_arguments:
            self._triggers_by_arguments[key] = self._triggers.create(arguments)
        return self._triggers_by_arguments[key]

    @staticmethod
    def _in_order(
        destinations_in_order: list[tuple[ChannelSpec, Mapping[str, Any]]], response: Response
    ) -> Iterable[dict[str, Any]]:
        deliveries = response.json["deliveries"]
        assert len(deliveries) == len(destinations_in_order), response.text
        by_sender: dict[str, list[dict[str, Any]]] = {}
        for entry in deliveries:
            by_sender.setdefault(entry["sender"], []).append(entry)
        for channel, _ in destinations_in_order:
            yield by_sender[channel.sender].pop(0)


def toml(value: Any) -> str:
    """A value as TOML, in one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    # TOML escapes strings as JSON does, and also DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
