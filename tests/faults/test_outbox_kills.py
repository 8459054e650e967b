"""The process is killed again and again at random moments under load, and nothing that was accepted is lost."""

import json
import os
import random
import time
from collections import Counter
from functools import partial

import pytest

from tests.faults.load import CALLERS, Load, each_has_one_key
from tests.faults.site import HOOK, MESSAGES, Site
from tests.harness import Standin, eventually

KILLS = int(os.environ.get("OUTBOX_KILLS", "5"))
"""``make soak`` asks for a hundred."""
IN_FLIGHT = 16
"""Attempts at one destination at a time, and ends that may not be noted yet."""
ARGUMENTS = {"response_timeout": "200ms", "max_in_flight": "500"}


def as_if_a_minute_had_passed(site: Site) -> None:
    """Since attempts of which nothing more is known."""
    site.rows("UPDATE deliveries SET attempt_began = attempt_began - 60000")


@pytest.mark.timeout(120 + 10 * KILLS)
def test_killed_at_random_moments_under_load_nothing_is_lost_and_no_sms_sent_twice(
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
        """SELECT json ->> 'notification_text', report ->> 'outcome', report ->> 'sender', report ->> 'reason'
           FROM deliveries JOIN request_bodies USING (request) WHERE state = 'dead'"""
    )
    unknown = {text for text, outcome, sender, _ in dead if (outcome, sender) == ("ambiguous", "sms")}
    assert len(unknown) == len(dead), dead
    assert len(load.accepted) > 10 * KILLS
    for text in load.accepted:
        assert hooks[text] >= 1, text
        assert texts[text] == 1 or text in unknown, text
    assert max(texts.values()) == 1
    # A message in flight at the kill may arrive twice, with the same key.
    twice = [text for text, count in hooks.items() if count > 1]
    assert len(twice) <= KILLS * (CALLERS + IN_FLIGHT), twice
    each_has_one_key(standin)
