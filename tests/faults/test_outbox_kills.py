"""The process is killed again and again at random moments under load, and nothing that was accepted is lost."""

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_outbox import HOOK, MESSAGES, Site
from tests.harness import Standin, eventually

KILLS = int(os.environ.get("OUTBOX_KILLS", "5"))
"""``make soak`` asks for a hundred."""
CALLERS = 4
IN_FLIGHT = 16
"""Attempts at one destination at a time, and ends that may not be noted yet."""
ARGUMENTS = {"response_timeout": "200ms", "max_in_flight": "500"}


class Load:
    """Callers that send one notification after the other to whichever process there is."""

    def __init__(self, name: str = "message") -> None:
        self._name = name
        self.accepted: list[str] = []
        """Texts of which the caller was told that they were accepted."""
        self.trigger: Any = None
        self._numbers = iter(range(1_000_000))
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CALLERS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def has_more_than(self, count: int) -> bool:
        """Whether so many have been accepted."""
        return len(self.accepted) > count

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                text = f"{self._name} {next(self._numbers)}."
            body = {"notification_text": text, "receivers": ["hook", "phone"]}
            try:
                answer = self.trigger.notify(body, timeout=5)
            except (OSError, AttributeError):
                # Nobody is there, or it was killed before it had answered: nothing is known of this one.
                time.sleep(0.02)
                continue
            if answer.status == 200:
                self.accepted.append(text)
            else:
                assert answer.status == 503, answer.text
                time.sleep(0.02)


@pytest.fixture
def site(tmp_path: Path, standin: Standin) -> Iterator[Site]:
    """A plugin directory with an outbox."""
    with ExitStack() as stack:
        yield Site(tmp_path, standin, stack)


def as_if_a_minute_had_passed(site: Site) -> None:
    """Since the process was last heard of."""
    site.lapse()
    site.rows("UPDATE deliveries SET attempting = attempting - 60000")


@pytest.mark.timeout(120 + 10 * KILLS)
def test_row_41_killed_at_random_moments_under_load_nothing_is_lost_and_no_sms_sent_twice(
    site: Site, standin: Standin
) -> None:
    chance = random.Random(41)  # noqa: S311
    standin.rule(HOOK, delay_ms=3)
    standin.rule(MESSAGES, method="POST", delay_ms=3)
    with Load() as load:
        for _ in range(KILLS):
            engine, load.trigger = site.start(ARGUMENTS)
            seen = len(load.accepted)
            eventually(partial(load.has_more_than, seen), "something is accepted", timeout=30)
            time.sleep(chance.uniform(0, 0.6))
            engine.kill()
            as_if_a_minute_had_passed(site)
    _, trigger = site.start(ARGUMENTS)
    trigger.notify({"notification_text": "the last", "receivers": ["hook", "phone"]})
    open_deliveries = "SELECT count(*) FROM deliveries WHERE state IN ('waiting', 'claimed')"
    eventually(lambda: site.rows(open_deliveries) == [(0,)], "all have ended", timeout=120)

    hooks = Counter(json.loads(request["body"])["message"] for request in standin.requests(HOOK))
    texts = Counter(message["text"] for message in standin.messages() if message["provider"] == "twilio")
    dead = site.rows(
        """SELECT said ->> 'notification_text', report ->> 'outcome', report ->> 'sender', report ->> 'reason'
           FROM deliveries JOIN requests ON id = request WHERE state = 'dead'"""
    )
    unknown = {text for text, outcome, sender, _ in dead if (outcome, sender) == ("ambiguous", "sms")}
    assert len(unknown) == len(dead), dead
    assert len(load.accepted) > 10 * KILLS
    for text in load.accepted:
        assert hooks[text] >= 1, text
        assert texts[text] == 1 or text in unknown, text
    assert max(texts.values()) == 1
    # What was on its way when the process was killed may be there twice, with the same key.
    twice = [text for text, count in hooks.items() if count > 1]
    assert len(twice) <= KILLS * (CALLERS + IN_FLIGHT), twice
    keys: dict[str, set[str]] = {}
    for request in standin.requests(HOOK):
        key = dict(map(tuple, request["headers"]))["idempotency-key"]
        keys.setdefault(json.loads(request["body"])["message"], set()).add(key)
    assert all(len(found) == 1 for found in keys.values())
