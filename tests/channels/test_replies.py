"""Replies that no provider should give, at every channel: how often the message is sent, and what comes of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.channels.channel import NUMBERS, Channel, Sender, Sent, channels
from tests.harness import Standin

BY_SENDER = channels()
OVER_HTTP = [channel for channel in BY_SENDER.values() if channel.over_http]
TWILIO = ("sms", "whatsapp")


@dataclass
class Asked:
    """A destination of its own that answers every request in the same way."""

    channel: Channel
    name: str
    fault: dict[str, Any]

    @property
    def base(self) -> str:
        """Its address without a slash at its end."""
        return str(self.fault["url"]).rstrip("/")

    def requests(self, standin: Standin) -> int:
        """How often it was asked."""
        return int(standin.fault_report(self.fault["port"])["requests"])


def send(asked: Iterable[Asked], sender: Sender, limits: dict[str, str]) -> list[tuple[Asked, dict[str, Any]]]:
    """Send ``hi`` to all at once; only the trigger says where Twilio is, so those go one by one."""
    destinations = list(asked)
    together = [one for one in destinations if one.channel.sender not in TWILIO]
    sent: list[tuple[Asked, dict[str, Any]]] = []

    def entries(some: list[Asked], **arguments: str) -> Sent:
        wanted = [(one.channel, one.channel.destination(one.base, next(NUMBERS))) for one in some]
        return sender.send(wanted, {**limits, **arguments})

    if together:
        sent += zip(together, entries(together).entries, strict=True)
    for one in destinations:
        if one.channel.sender in TWILIO:
            sent.append((one, entries([one], twilio_base_url=one.fault["url"]).entry))
    return sent


WAITS = {
    "response_timeout": "4s",
    "delivery_timeout": "1500ms",
    "initial_backoff": "200ms",
    "max_backoff": "400ms",
    "max_attempts": "100",
    "on_ambiguous": "report",
}
"""Attempts at 0, 0.2, 0.6, 1.0 and 1.4 s; with the shortest waits there is one more."""
MOST = 6

HEADERS = ["0", "0.001", "Thu, 01 Jan 1970 00:00:10 GMT", "", "-1", "999999999"]
MEMBERS = [0, 0.003, -1, None, "x", 1e308]


def limited(standin: Standin) -> Iterable[Asked]:
    """Every status that asks for a wait with every wait, and every channel's own way to name one."""

    def asked(sender: str, name: str, **reply: Any) -> Asked:
        return Asked(BY_SENDER[sender], f"{sender} {name}", standin.fault("reply", **reply))

    for status in (429, 408, 425, 503):
        for value in HEADERS:
            yield asked("http", f"{status} {value!r}", status=status, headers=[["Retry-After", value]])
    for member in MEMBERS:
        yield asked("discord", repr(member), status=429, json={"message": "x", "retry_after": member, "global": False})
        parameters = {"retry_after": member}
        yield asked("telegram", repr(member), status=429, json={"ok": False, "parameters": parameters})
    bucket = [["X-RateLimit-Remaining", "0"], ["X-RateLimit-Reset-After", "0"]]
    yield asked("discord", "bucket", status=503, headers=bucket)
    yield asked("opsgenie", "period", status=429, headers=[["X-RateLimit-Period-In-Sec", "0"]])
    for channel in OVER_HTTP:
        yield asked(channel.sender, "0", status=429, headers=[["Retry-After", "0"]])


def test_no_wait_that_a_provider_names_makes_requests_come_faster_than_the_backoff(
    sender: Sender, standin: Standin
) -> None:
    for asked, entry in send(limited(standin), sender, WAITS):
        requests = asked.requests(standin)
        assert 1 <= requests <= MOST, (asked.name, requests)
        assert entry["attempts"] == requests, (asked.name, entry)
        assert entry["outcome"] == "failed", (asked.name, entry)
        if "999999999" in asked.name:
            # A rate limit is obeyed; a server in trouble that names years is asked again.
            assert (requests == 1) == ("429" in asked.name), (asked.name, requests)
