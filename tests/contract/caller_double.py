"""A double of the official plugins that alert: their loop around one POST, and what they cannot survive.

threshold_deadman_checks, state_change, stateless_adtk_detector, forecast_error_evaluator and prophet_forecasting try
three times; mad_check tries once.
"""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

TIMEOUT = 5.0
"""Seconds that a caller waits for the connection and for each part of the answer."""


@dataclass
class Report:
    """What came of one notification."""

    posts: int = 0
    results: Any = None
    """What the caller logged as success; None where no try succeeded."""
    failures: list[str] = field(default_factory=list)
    """What the caller logged of each try that failed."""
    slowest: float = 0.0
    """Seconds of the longest try."""


@dataclass
class CallerDouble:
    """One caller. ``sleep`` stands in for ``time.sleep`` between two tries, so that a test need not wait as long."""

    url: str
    tries: int = 3
    timeout: float = TIMEOUT
    sleep: Callable[[float], None] = time.sleep
    token: str | None = None

    def alert(self, text: object, senders_config: object) -> Report:
        """Send an alert as the callers do. Raises what would end a caller's whole run."""
        payload = {"notification_text": text, "senders_config": senders_config}
        return self.post(json.dumps(payload))

    def post(self, data: str) -> Report:
        """The loop itself, around a payload that is already JSON."""
        report = Report()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        while True:
            report.posts += 1
            started = time.monotonic()
            try:
                response = requests.post(self.url, headers=headers, data=data, timeout=self.timeout)
                response.raise_for_status()
                # No KeyError is caught here: an answer without results ends the caller's run.
                report.results = response.json()["results"]
                return report
            except requests.RequestException as error:
                report.failures.append(f"{type(error).__name__}: {error}")
            finally:
                report.slowest = max(report.slowest, time.monotonic() - started)
            if report.posts == self.tries:
                return report
            self.sleep(random.uniform(1, 4))  # noqa: S311 - a spread, not a secret
