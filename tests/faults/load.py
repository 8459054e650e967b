"""Callers that go on while processes are killed, and the account of what they were told."""

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
"""Of a trigger whose process is killed."""


class Load:
    """Callers that send one notification after the other to whichever process there is."""

    def __init__(self, name: str = "message") -> None:
        self._name = name
        self.accepted: list[str] = []
        """Texts of which the caller was told that they were accepted."""
        self.unexpected: list[Response] = []
        """Answers that say neither that nor that it is to come later."""
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
        """Whether so many have been accepted."""
        return len(self.accepted) > count

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                text = f"{self._name} {next(self._numbers)}."
            body = {"notification_text": text, "receivers": ["hook", "phone"]}
            try:
                response = self.trigger.notify(body, timeout=5)
            except (OSError, http.client.HTTPException, AttributeError):
                # Nobody is there, or it was killed before it had answered: nothing is known of this one.
                time.sleep(0.02)
                continue
            if response.status == 200:
                self.accepted.append(text)
                continue
            if response.status != 503:
                self.unexpected.append(response)
            time.sleep(0.02)


def each_has_one_key(standin: Standin) -> None:
    """However often a webhook was called with a message, it was under one idempotency key."""
    keys: dict[str, set[str]] = {}
    for request in standin.requests(HOOK):
        key = dict(map(tuple, request["headers"]))["idempotency-key"]
        keys.setdefault(json.loads(request["body"])["message"], set()).add(key)
    assert all(len(found) == 1 for found in keys.values())


class Notifier:
    """A process, with callers of its own if it is loaded."""

    def __init__(self, site: Streams, stack: ExitStack, name: str = "message", *, loaded: bool = True) -> None:
        self.site = site
        self.engine, trigger = site.start(ARGUMENTS)
        self.load = Load(name)
        self.load.trigger = trigger
        if loaded:
            stack.enter_context(self.load)

    def again(self) -> None:
        """Kill it, and start another."""
        self.engine.kill()
        self.engine, self.load.trigger = self.site.start(ARGUMENTS)


class WorkerProcess:
    """A process that takes over."""

    def __init__(self, site: Streams) -> None:
        self.site = site
        self.process = self._start()

    def _start(self) -> Process:
        return self.site.worker(log=subprocess.DEVNULL)

    def again(self) -> None:
        """Kill it, and start another."""
        self.process.kill()
        self.process.wait()
        self.process = self._start()


def accounted_for(site: Streams, accepted: list[str], place: str) -> None:
    """Each was delivered; an SMS at most once, and where it was not, nobody knows and it is a dead letter."""
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
    """Wait until no delivery waits any more."""

    def is_empty() -> bool:
        lapse()
        waiting = command("outbox", "list", "--state", "waiting", "--format", "json", place)
        # While there is no leader it says that it cannot look.
        return bool(waiting.json.get("deliveries") == [])

    eventually(is_empty, "all have ended", timeout=120)
