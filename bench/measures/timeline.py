"""The time line of one request to four channels: one is slow, and one fails twice before it succeeds.

The stand-ins of the providers record when each attempt arrives. The result is a picture, not a row of the table.
"""

from dataclasses import dataclass
from typing import Any

from bench.checks import check_answers
from bench.messages import ACCOUNT, FROM, TEXT, TO, TOKEN, Notification
from bench.processes import Contender
from bench.rows import HTTPX, OURS
from bench.run import Run
from tests.harness import eventually, http_request

FAST_MS, SLOW_MS = 100, 1500
FAILURES = 2
PATHS = {
    "slack": f"/services/T00000000/B00000000/{'X' * 24}",
    "http": "/hook/alerts",
    "twilio": f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
}
SLOW, FAILING = "slack", "http"
ATTEMPTS = {SLOW: 1, FAILING: 1 + FAILURES, "sms": 1, "whatsapp": 1}


@dataclass(frozen=True)
class Attempt:
    """One request to a provider. Times are in seconds from the beginning of the call."""

    channel: str
    begin: float
    end: float
    accepted: bool


@dataclass(frozen=True)
class TimeLine:
    """All attempts of a call, and the time of its response."""

    attempts: list[Attempt]
    answered: float


def time_lines(run: Run) -> dict[str, TimeLine]:
    """The same request by the notifier and by the Python plugin."""
    return {name: _time_line(run, name) for name in (OURS, HTTPX)}


def _time_line(run: Run, name: str) -> TimeLine:
    standin = run.standin
    standin.clear()
    for channel, path in PATHS.items():
        delay_ms = SLOW_MS if channel == SLOW else FAST_MS
        if channel == FAILING:
            standin.rule(path, times=FAILURES, delay_ms=delay_ms, reply={"status": 503})
        standin.rule(path, delay_ms=delay_ms)
    with Contender(name) as contender:
        # Imports are not drawn, nor is the first connection.
        contender.send(_notification(standin.url, ["sms"]))
        before = len(standin.requests())
        http_request("GET", f"{standin.url}/hook/now")
        call = contender.send(_notification(standin.url, list(ATTEMPTS)))[0]
        eventually(lambda: len(_answered(run, before + 1)) == sum(ATTEMPTS.values()), "every attempt", timeout=30)
    began = standin.requests()[before]["at_ms"]
    attempts = [_attempt(record, began) for record in _answered(run, before + 1)]
    accepted = [attempt for attempt in attempts if attempt.accepted]
    check_answers("the time line", name, len(ATTEMPTS), [len(accepted)])
    return TimeLine(attempts, call.wall_ns / 1e9)


def _answered(run: Run, after: int) -> list[dict[str, Any]]:
    return [record for record in run.standin.requests()[after:] if record["status"] is not None]


def _attempt(record: dict[str, Any], began_ms: float) -> Attempt:
    channel = record["provider"]
    if channel == "twilio":
        channel = "whatsapp" if "whatsapp" in record["body"] else "sms"
    elif channel == "webhook":
        channel = "http"
    begin = (record["at_ms"] - began_ms) / 1000
    took = (SLOW_MS if channel == SLOW else FAST_MS) / 1000
    return Attempt(channel, begin, begin + took, record["accepted"])


def _notification(url: str, channels: list[str]) -> Notification:
    twilio = {"twilio_sid": ACCOUNT, "twilio_token": TOKEN, "twilio_from_number": FROM, "twilio_to_number": TO}
    senders: dict[str, Any] = {channel: {f"{channel}_webhook_url": url + PATHS[channel]} for channel in (SLOW, FAILING)}
    senders |= {"sms": twilio, "whatsapp": twilio}
    return Notification({channel: senders[channel] for channel in channels}, [], TEXT, {"twilio_base_url": url})
