"""Triggers of a test, and requests to them."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from tests.engine_host.trigger import TriggerOptions
from tests.harness.engines import Engine, post
from tests.harness.http import Headers, Response
from tests.harness.processes import eventually

Notify = Callable[..., Response]
"""``notify(body, args=…, headers=…, query=…)``: one request to a trigger with these arguments."""


class Triggers:
    """Creates triggers, and deletes them at the end of the test."""

    _numbers = itertools.count(1)

    def __init__(self, engine: Engine, stack: ExitStack) -> None:
        self.engine = engine
        self._stack = stack

    def create(
        self,
        arguments: Mapping[str, str] | None = None,
        *,
        run_asynchronous: bool = True,
        source: str | None = None,
    ) -> "Trigger":
        """Create a trigger with a new path.

        :param source: the text of its plugin file; None: the notifier's file.
        """
        name = f"t{next(self._numbers)}"
        options: TriggerOptions = {
            "spec": f"request:{name}",
            "arguments": dict(arguments or {}),
            "run_asynchronous": run_asynchronous,
        }
        if source is not None:
            options["path"] = f"{name}.py"
            (self.engine.plugin_dir / options["path"]).write_text(source)
        self.engine.create_trigger(name, **options)
        self._stack.callback(self.engine.delete_trigger, name)
        return Trigger(self.engine, name)


class Trigger:
    """A request trigger. Its name is its path."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.url = f"{engine.url}/api/v3/engine/{name}"

    def notify(
        self,
        body: object,
        *,
        headers: Headers = (),
        query: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        method: str = "POST",
        timeout: float = 30.0,
    ) -> Response:
        """Send a request. A ``body`` of another type than bytes and str is sent as JSON."""
        return post(self.engine, body, route=self.name, headers=headers, query=query, method=method, timeout=timeout)

    def log_lines(self) -> list[tuple[str, str]]:
        """The notifier's log lines as (level, text), oldest first, without the engine's two lines of each call."""
        rows = self.engine.logs(self.name)
        return [(row["log_level"], row["log_text"]) for row in rows if row["log_text"].startswith("notifier ")]

    def wait_for_log(self, part: str, *, timeout: float = 10.0) -> str:
        """Wait for a log line that contains ``part``, and return it."""
        found = eventually(
            lambda: [text for _, text in self.log_lines() if part in text],
            f"a log line with {part!r}",
            timeout=timeout,
        )
        return str(found[0])
