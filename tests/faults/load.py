"""Callers that send requests while processes are killed, and checks of all accepted notifications."""

import http.client
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tests.cli.program import run as command
from tests.faults.site import HOOK
from tests.faults.streams import Streams
from tests.harness import Process, Response, Standin, eventually

CALLERS = 4
ARGUMENTS = {"response_timeout": "200ms", "max_in_flight": "200"}
"""The arguments of a trigger whose process is killed."""


class Load:
    """Callers that send notifications one by one to the running process."""

    def __init__(self, name: str = "message") -> None:
        self._name = name
        self.accepted: list[str] = []
        """The texts of accepted notifications."""
        self.unexpected: list[Response] = []
        """Responses with another status than 200 and 503."""
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
        assert [response.text for response in self.unexpected] == []

    def has_more_than(self, count: int) -> bool:
        """Whether more than ``count`` notifications were accepted."""
        return len(self.accepted) > count

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                text = f"{self._name} {next(self._numbers)}."
            body = {"notification_text": text, "receivers": ["hook", "phone"]}
            try:
                response = self.trigger.notify(body, timeout=5)
            except (OSError, http.client.HTTPException, AttributeError):
                # No process runs, or it was killed before its response. The notification may be accepted.
                time.sleep(0.02)
                continue
            if response.status == 200:
                self.accepted.append(text)
                continue
            if response.status != 503:
                self.unexpected.append(response)
            time.sleep(0.02)


def each_has_one_key(standin: Standin) -> None:
    """Check that all webhook requests with one message have one idempotency key."""
    keys: dict[str, set[str]] = {}
    for request in standin.requests(HOOK):
        key = dict(map(tuple, request["headers"]))["idempotency-key"]
        keys.setdefault(json.loads(request["body"])["message"], set()).add(key)
    assert all(len(found) == 1 for found in keys.values())


class Notifier:
    """A process, with callers if ``loaded``."""

    def __init__(self, site: Streams, stack: ExitStack, name: str = "message", *, loaded: bool = True) -> None:
        self.site = site
        self.engine, trigger = site.start(ARGUMENTS)
        self.load = Load(name)
        self.load.trigger = trigger
        if loaded:
            stack.enter_context(self.load)

    def again(self) -> None:
        """Kill the process, and start a new one."""
        self.engine.kill()
        self.engine, self.load.trigger = self.site.start(ARGUMENTS)


class WorkerProcess:
    """A worker process, which recovers deliveries of killed processes."""

    def __init__(self, site: Streams) -> None:
        self.site = site
        self.process = self._start()

    def _start(self) -> Process:
        return self.site.worker(log=subprocess.DEVNULL)

    def again(self) -> None:
        """Kill the process, and start a new one."""
        self.process.kill()
        self.process.wait()
        self.process = self._start()


def accounted_for(site: Streams, accepted: list[str], place: str) -> None:
    """Check that every webhook was delivered, and every SMS once or is an ambiguous dead letter."""
    hooks = Counter(json.loads(request["body"])["message"] for request in site.standin.requests(HOOK))
    sent = Counter(message["text"] for message in site.standin.messages() if message["provider"] == "twilio")
    done = command("outbox", "list", "--state", "dead", "--limit", "100000", "--format", "json", place)
    assert done.status == 0, done.out
    dead = done.json["deliveries"]
    assert {row["delivery"]["outcome"] for row in dead} <= {"ambiguous"}, dead
    assert {row["delivery"]["sender"] for row in dead} <= {"sms"}, dead
    assert max(sent.values()) == 1
    missing = [text for text in accepted if not hooks[text]]
    assert not missing
    unsent = [text for text in accepted if not sent[text]]
    assert len(unsent) <= len(dead), unsent
    each_has_one_key(site.standin)


def until_all_have_ended(place: str, lapse: Callable[[], object] = lambda: None) -> None:
    """Wait until no delivery is waiting."""

    def is_empty() -> bool:
        lapse()
        waiting = command("outbox", "list", "--state", "waiting", "--format", "json", place)
        # Without a leader the command fails.
        return bool(waiting.json.get("deliveries") == [])

    eventually(is_empty, "all have ended", timeout=120)
