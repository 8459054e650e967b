"""Fixtures: one engine for a module, with a configuration file for all shapes of responses."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ProcessEngine, Response, Standin, Trigger, Triggers

FILE = """\
[settings]
twilio_base_url = "{url}"
history_table = "notifications"
initial_backoff = "1min"
max_backoff = "1min"

[receivers.hook.http]
webhook_url = "{url}/hook/golden"
[receivers.chat.slack]
webhook_url = "{url}/services/T0/B0/golden"
[receivers.phone.sms]
sid = "AC00000000000000000000000000000000"
token = "token"
from_number = "+15017122661"
to_number = "+15558675310"

[[silences]]
name = "night"
match = {{ level = "ok" }}
"""
MESSAGES = "/2010-04-01/Accounts/AC00000000000000000000000000000000/Messages.json"


class Caller:
    """Sends requests to triggers of one engine."""

    def __init__(self, engine: ProcessEngine, standin: Standin, stack: ExitStack) -> None:
        self.engine = engine
        self.standin = standin
        self._triggers = Triggers(engine, stack)
        self._by_arguments: dict[tuple[tuple[str, str], ...], Trigger] = {}

    def trigger(self, arguments: Mapping[str, str]) -> Trigger:
        """The trigger with these arguments and the configuration file."""
        key = tuple(sorted(arguments.items()))
        if key not in self._by_arguments:
            self._by_arguments[key] = self._triggers.create({"config_file_path": "notifier.toml", **arguments})
        return self._by_arguments[key]

    def create(self, *, source: str) -> Trigger:
        """A trigger with another plugin file."""
        return self._triggers.create(source=source)

    def notify(self, body: object, **arguments: str) -> Response:
        """Send a request."""
        return self.trigger(arguments).notify(body)

    def response(self, *receivers: str, **more: object) -> Any:
        """The JSON response to a notification, by default with the text ``disk full``."""
        arguments = more.pop("arguments", {})
        assert isinstance(arguments, Mapping)
        body = {"notification_text": "disk full", **({"receivers": receivers} if receivers else {}), **more}
        response = self.notify(body, **arguments)
        assert response.status == 200, response.text
        return response.json

    def view(self, name: str, **arguments: str) -> Response:
        """Get a view."""
        return self.trigger(arguments).notify(b"", query={"view": name}, method="GET")


@pytest.fixture(scope="module")
def caller_process(tmp_path_factory: pytest.TempPathFactory, standin_process: Standin) -> Iterator[Caller]:
    """The caller and the engine of a module."""
    directory: Path = tmp_path_factory.mktemp("shapes")
    with ExitStack() as stack:
        engine = stack.enter_context(ProcessEngine(directory))
        (engine.plugin_dir / "notifier.toml").write_text(FILE.format(url=standin_process.url))
        yield Caller(engine, standin_process, stack)


@pytest.fixture
def caller(caller_process: Caller, standin: Standin) -> Caller:
    """The module's caller, with a cleared stand-in."""
    assert caller_process.standin is standin
    return caller_process
