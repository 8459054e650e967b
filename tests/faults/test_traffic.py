"""Mixed traffic with faults, for seconds here, for minutes in ``make soak``: all is accounted for, nothing grows."""

import asyncio
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.faults.isolation import FAST, MARK, SENDERS, IsolationCheck, TooLateError, best_of_three
from tests.faults.process_usage import notifier_threads, open_descriptors, resident_bytes
from tests.harness import ProcessEngine, Standin, Trigger, Triggers, authenticated, eventually

MIB = 1024 * 1024
SECONDS = float(os.environ.get("SOAK_SECONDS", "9"))
WARM_UP = min(SECONDS / 3, 60)
"""Seconds before anything is measured: the engine host's log, its threads and the allocator fill up to their size."""
RATE = 200
"""Requests a second."""
FAULTY = 0.05
"""The share of requests that has one destination which misbehaves."""
KINDS: list[dict[str, Any]] = [
    {"kind": "refuse"},
    {"kind": "reset"},
    {"kind": "close"},
    {"kind": "silent"},
    {"kind": "stall"},
    {"kind": "huge_body"},
    {"kind": "slow_body"},
    {"kind": "http09"},
    {"kind": "flaky", "fail_times": 1_000_000, "how": "500"},
    {"kind": "reply", "status": 404},
    {"kind": "reply", "status": 429, "headers": [["Retry-After", "0.2"]]},
    {"kind": "reply", "status": 302, "headers": [["Location", "/"]]},
]


@dataclass
class Sent:
    """The caller's record of responses."""

    responses: Counter[str] = field(default_factory=Counter)
    """Deliveries by the outcome that their answer gave."""
    texts: set[str] = field(default_factory=set)
    """Of the messages that must arrive once."""
    late: int = 0
    """Answers that came later than they may."""


@pytest.fixture
def engine_process(tmp_path: Path) -> Iterator[ProcessEngine]:
    """A separate engine, so that its metrics are this test's."""
    with ProcessEngine(tmp_path) as engine:
        yield engine
        assert engine.errors() == ""


@pytest.mark.timeout(3 * SECONDS + 60)
@best_of_three
def test_under_mixed_traffic_everything_is_accounted_for_and_nothing_grows(
    standin: Standin, engine_process: ProcessEngine
) -> None:
    # Another try may have been before.
    standin.clear()
    with ExitStack() as stack:
        triggers = Triggers(engine_process, stack)
        isolation = IsolationCheck(triggers, standin)
        arguments = {**FAST, "response_timeout": "500ms", "twilio_base_url": standin.url}
        well = triggers.create(arguments)
        # Twilio's address is a trigger argument, so a lost reply of an SMS needs a separate trigger.
        lossy = triggers.create(
            {**arguments, "twilio_base_url": standin.fault("reset")["url"], "on_ambiguous": "report"}
        )
        faults = [standin.fault(**kind)["url"] for kind in KINDS]
        sent, before = Sent(), deliveries_by_outcome(well)
        warm = asyncio.run(traffic(isolation, well, lossy, faults, sent))
        eventually(lambda: status(well)["in_flight"] == 0, "every delivery has ended", timeout=20)

        ended = deliveries_by_outcome(well) - before
        assert sum(ended.values()) == sum(sent.responses.values()), f"{ended} of {sent.responses}"
        for outcome in ("delivered", "failed", "ambiguous"):
            assert ended[outcome] >= sent.responses[outcome] > 0
        assert set(ended) == {"delivered", "failed", "ambiguous"}
        received = Counter(message["text"] for message in standin.messages())
        if len(received) < 100_000:  # beyond that the stand-in has forgotten the first ones
            missing = sent.texts - set(received)
            assert not missing, f"{len(missing)} messages never arrived"
            assert {text for text in sent.texts if received[text] > 1} == set(), "shown twice"
        grown = Growth.now(engine_process.pid).since(warm)
        assert grown.memory < 24 * MIB, grown
        assert grown.descriptors <= 16, grown
        assert grown.threads <= 0, grown
        if sent.late > sum(sent.responses.values()) * 0.01:
            raise TooLateError(f"{sent.late} late answers")


async def traffic(isolation: IsolationCheck, well: Trigger, lossy: Trigger, faults: list[str], sent: Sent) -> "Growth":
    """Send requests for :data:`SECONDS`; returns the resource usage after :data:`WARM_UP`."""
    pid = well.engine.pid if isinstance(well.engine, ProcessEngine) else os.getpid()
    chance = random.Random(47)  # noqa: S311
    warm = Growth.now(pid)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        started = time.monotonic()
        tasks: set[asyncio.Task[None]] = set()
        for number in range(int(SECONDS * RATE)):
            await asyncio.sleep(started + number / RATE - time.monotonic())
            if number == int(WARM_UP * RATE):
                warm = Growth.now(pid)
            body = request(isolation, number, faults, chance)
            # Place 3 of the senders is that of the SMS.
            trigger = lossy if number % 100 == 3 else well
            task = asyncio.create_task(ask(session, trigger, body, sent))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            if trigger is well:
                sent.texts.add(body["notification_text"])
        await asyncio.gather(*tasks)
    return warm


def request(isolation: IsolationCheck, number: int, faults: list[str], chance: random.Random) -> dict[str, Any]:
    """One sender that works, or one of those and one that misbehaves."""
    sender = SENDERS[number % len(SENDERS)]
    senders: dict[str, Any] = {sender: isolation.working_destination(sender)}
    if chance.random() < FAULTY:
        hostile = chance.choice(["slack", "discord", "http"])
        bad = isolation.at(hostile, chance.choice(faults))
        # A separate destination, so that a pause of one does not slow the next.
        bad = {name: f"{url}{number}" for name, url in bad.items()}
        senders[hostile] = [bad, *([senders[hostile]] if hostile in senders else [])]
    return {"notification_text": f"message {number}", "senders_config": senders}


async def ask(session: aiohttp.ClientSession, trigger: Trigger, body: dict[str, Any], sent: Sent) -> None:
    """Send one request, and count its outcomes."""
    started = time.monotonic()
    async with session.post(trigger.url, json=body, headers=authenticated(trigger.engine)) as response:
        text = await response.text()
        assert response.status == 200, text
        response = await response.json()
    sent.late += time.monotonic() - started > 0.6
    assert MARK not in text
    for entry in response["deliveries"]:
        assert entry["reason"] != "internal"
        sent.responses[entry["outcome"]] += 1


def status(trigger: Trigger) -> Any:
    """The status view."""
    return trigger.notify(b"", query={"view": "status"}, method="GET").json


def deliveries_by_outcome(trigger: Trigger) -> Counter[str]:
    """``notifier_deliveries_total``, added up by outcome."""
    metrics = trigger.notify(b"", query={"view": "metrics"}, method="GET").text
    counts: Counter[str] = Counter()
    for outcome, value in re.findall(
        r'^notifier_deliveries_total\{.*outcome="(\w+)".*\} (\d+)$', metrics, re.MULTILINE
    ):
        counts[outcome] += int(value)
    return counts


@dataclass(frozen=True)
class Growth:
    """The resource usage of a process, or its growth."""

    memory: int
    descriptors: int
    threads: int

    @classmethod
    def now(cls, pid: int) -> "Growth":
        """The current usage."""
        return cls(resident_bytes(pid), open_descriptors(pid), notifier_threads(pid))

    def since(self, before: "Growth") -> "Growth":
        """How much more that is."""
        return Growth(self.memory - before.memory, self.descriptors - before.descriptors, self.threads - before.threads)
