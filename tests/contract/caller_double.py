"""A double of the official alerting plugins: their retry loop around one POST, and the errors that end it.

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
"""The caller's timeout for the connection and for each part of the response, in seconds."""


@dataclass
class Report:
    """The result of one notification."""

    posts: int = 0
    results: Any = None
    """The caller's log line about success; None: no attempt succeeded."""
    failures: list[str] = field(default_factory=list)
    """The caller's log lines about failed attempts."""
    slowest: float = 0.0
    """The duration of the longest attempt, in seconds."""


@dataclass
class CallerDouble:
    """One caller. ``sleep`` replaces ``time.sleep`` between attempts, so that tests are fast."""

    url: str
    tries: int = 3
    timeout: float = TIMEOUT
    sleep: Callable[[float], None] = time.sleep
    token: str | None = None

    def alert(self, text: object, senders_config: object) -> Report:
        """Send an alert as the callers do. Raises the errors that end a caller's run."""
        payload = {"notification_text": text, "senders_config": senders_config}
        return self.post(json.dumps(payload))

    def post(self, data: str) -> Report:
        """Send a JSON payload in the retry loop."""
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
