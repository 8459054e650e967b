"""The same requests to each store.

They leave deliveries in every state, a history row, last notifications and an idempotency key.
"""

import json
from collections.abc import Callable
from typing import Any

from tests.cli.program import run
from tests.faults.site import CHAT, HOOK, MESSAGES, Site, arrived
from tests.harness import eventually
from tests.shapes.golden import Words

ARGUMENTS = {
    "response_timeout": "0s",
    "attempt_timeout": "60s",
    "initial_backoff": "1h",
    "max_backoff": "1h",
    "repeat_interval": "1h",
    "history_table": "notifications",
}
TIME = "<unix milliseconds>"
WORDS: Words = {
    "accepted": TIME,
    "at": TIME,
    "at_ms": TIME,
    "attempt_began": TIME,
    "bytes": "<bytes>",
    "config": "<configuration file>",
    "deadline": TIME,
    "ended": TIME,
    "file": "<outbox>",
    "oldest": TIME,
    "owner": "<owner>",
    "scope": "<scope>",
    "sealed_config": "<sealed>",
    "stored": TIME,
}


class Requests:
    """Requests to one process that result in deliveries in every state.

    :param outbox: as ``influxdb3-notifier outbox`` names it.
    """

    def __init__(self, site: Site, outbox: object) -> None:
        self._outbox = str(outbox)
        self._site = site
        self._engine, self._trigger = site.start(ARGUMENTS)

    def make(self, counts: Callable[[], Any], backdated: Any) -> None:
        """Make the requests, wait until the store holds them, and kill the process.

        :param counts: of what the store holds.
        :param settled: what it gives when all is stored.
        """
        standin = self._site.standin
        self._notify({"dedup_key": "disk", "level": "critical", "idempotency_key": "golden"}, "delivered in")
        standin.rule(HOOK, reply={"status": 503, "body": ""})
        several = {"receivers": ["phone", "hook"], "status": "resolved", "fields": {"host": "db1"}}
        self._notify({**several, "dedup_key": "disk"}, "next attempt in")
        own = {"http": {"http_webhook_url": self._site.standin.url + HOOK}}
        self._notify({"receivers": [], "senders_config": own, "titel": "unknown"}, "next attempt in")
        arrived(standin, MESSAGES, 1)
        refusal = {"status": 400, "body": '{"code": 21211, "message": "no"}'}
        standin.rule(MESSAGES, method="POST", reply=refusal, times=2)
        self.to_drop = self._notify({"receivers": ["phone"]}, "failed after")
        self.to_retry = self._notify({"receivers": ["phone"], "title": "retried"}, "failed after")
        standin.rule(MESSAGES, method="POST", hang=True)
        self._notify({"receivers": ["phone"], "title": "under way"}, "accepted")
        arrived(standin, MESSAGES, 4)
        # It ends after its call, so no call writes the row of its history: the store keeps it.
        standin.rule(CHAT + "/*", delay_ms=100, reply={"status": 404, "body": ""})
        self.dead = self._notify({"receivers": ["chat"]}, "failed after")
        eventually(lambda: counts() == backdated, f"all is stored: {counts()}")
        self._engine.kill()

    def command(self, verb: str, *arguments: str) -> Any:
        """``influxdb3-notifier outbox VERB OUTBOX …``."""
        done = run("outbox", verb, self._outbox, *arguments, "--format", "json")
        assert done.status == 0, done.err + done.out
        return done.json

    def _notify(self, more: dict[str, Any], until: str) -> str:
        """Send a request, wait for a log line, and return the task id."""
        response = self._trigger.notify({"notification_text": "disk full", "receivers": ["hook"], **more})
        assert response.status == 200, response.text
        task = str(response.json["task_id"])
        eventually(
            lambda: [line for _, line in self._trigger.log_lines() if task in line and until in line],
            f"{until}: {self._trigger.log_lines()}",
        )
        return task


def readable(text: str) -> Any:
    """Stored text as parsed JSON, as a list of lines, or as text."""
    if text[:1] in ("{", "["):
        return json.loads(text)
    return text.splitlines() if "\n" in text else text
