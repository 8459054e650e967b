"""A plugin directory with an outbox, and the processes that use it."""

import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from tests.faults.isolation import MARK, NUMBER
from tests.harness import ProcessEngine, Standin, Trigger, Triggers, eventually

KEY = "outbox-" + MARK + "-0123456789"
PATIENT = {
    "response_timeout": "1s",
    "initial_backoff": "50ms",
    "max_backoff": "100ms",
    "max_attempts": "100",
    "attempt_timeout": "5s",
}
"""Trigger arguments with which deliveries continue after a restart."""

DESTINATIONS = """
[settings]
outbox = "outbox.db"
outbox_key = {{ env = "OUTBOX_KEY" }}
twilio_base_url = "{url}"

[receivers.hook.http]
http_webhook_url = "{url}/hook/{mark}"

[receivers.chat.discord]
discord_webhook_url = "{url}/api/webhooks/100000000000000001/{mark}{rest}"

[receivers.phone.sms]
twilio_sid = "{account}"
twilio_token = "{token}"
twilio_from_number = "+15017122661"
twilio_to_number = "{number}"
"""
ACCOUNT = "AC" + "7" * 32
HOOK = f"/hook/{MARK}"
CHAT = "/api/webhooks/100000000000000001"
MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
CONFIG = {"config_file_path": "notifier.toml", **PATIENT}


class Site:
    """A plugin directory with an outbox, and engine processes that use it in sequence or at the same time."""

    def __init__(self, directory: Path, standin: Standin, stack: ExitStack) -> None:
        self.directory = directory
        self.standin = standin
        self._stack = stack
        (directory / "plugins").mkdir()
        self.outbox = directory / "plugins" / "outbox.db"
        self.configure(
            DESTINATIONS.format(
                url=standin.url, mark=MARK, rest="a" * 58, account=ACCOUNT, token=MARK + "0" * 22, number=NUMBER
            )
        )

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.directory / "plugins" / "notifier.toml"

    def configure(self, text: str) -> None:
        """Write the configuration file."""
        self.config.write_text(text)

    def change(self, old: str, new: str) -> None:
        """Replace a text in the configuration file."""
        text = self.config.read_text()
        assert old in text
        self.configure(text.replace(old, new))

    def start(
        self,
        arguments: Mapping[str, str] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        privileged: bool = True,
    ) -> tuple[ProcessEngine, Trigger]:
        """Start a process with one trigger."""
        engine = self._stack.enter_context(
            ProcessEngine(self.directory, environment={"OUTBOX_KEY": KEY, **(environment or {})}, privileged=privileged)
        )
        return engine, Triggers(engine, self._stack).create({**CONFIG, **(arguments or {})})

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The result of an SQL statement on the outbox file."""
        with closing(sqlite3.connect(self.outbox)) as db, db:
            return db.execute(sql).fetchall()

    def lapse(self) -> None:
        """Expire the leases of all processes."""
        self.rows("DELETE FROM owners")

    def states(self) -> list[str]:
        """The states of all deliveries, in order."""
        return [state for (state,) in self.rows("SELECT state FROM deliveries ORDER BY request, delivery_index")]

    def killed_and_started_again(
        self, engine: ProcessEngine, arguments: Mapping[str, str] | None = None, **environment: str
    ) -> Trigger:
        """Kill the process, and start a new one, which takes over its deliveries."""
        engine.kill()
        _, trigger = self.start(arguments, environment=environment)
        return trigger


def to(receiver: str, text: str = "hi", **more: object) -> dict[str, object]:
    """A request to one receiver of the file."""
    return {"notification_text": text, "receivers": [receiver], **more}


def wake(trigger: Trigger) -> None:
    """Call the trigger without destinations, so that it recovers stored deliveries."""
    assert trigger.notify({"notification_text": "x", "senders_config": {}}).status == 200


def arrived(standin: Standin, path: str, count: int) -> list[dict[str, Any]]:
    """Wait for ``count`` requests at a path, and return them."""
    return list(
        eventually(lambda: found if len(found := standin.requests(path)) >= count else [], f"{count} at {path}")
    )


def one_key(requests: list[dict[str, Any]]) -> str:
    """The idempotency key that all these requests share."""
    keys = {dict(map(tuple, request["headers"]))["idempotency-key"] for request in requests}
    assert len(keys) == 1
    return str(keys.pop())
