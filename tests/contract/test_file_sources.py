"""The configuration file's path, the sources of its secrets, their reload, and the views.

On an engine host of this process: the tests set the environment that the server has.
"""

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.contract.case import backdated
from tests.engine_host.host import EngineHost
from tests.harness import Standin, Trigger, Triggers, eventually

HI = {"notification_text": "hi", "receivers": ["r"]}
DIRECTORIES = ("PLUGIN_DIR", "INFLUXDB3_PLUGIN_DIR", "VIRTUAL_ENV")


@pytest.fixture
def variables(engine_host: EngineHost) -> Iterator[pytest.MonkeyPatch]:
    """The environment, with no plugin directory in it: undone before the host ends, which sets one itself."""
    with pytest.MonkeyPatch.context() as variables:
        for name in DIRECTORIES:
            variables.delenv(name, raising=False)
        yield variables


@pytest.fixture
def own(engine_host: EngineHost, variables: pytest.MonkeyPatch) -> Iterator[Triggers]:
    """Triggers in this process."""
    with ExitStack() as stack:
        yield Triggers(engine_host, stack)


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    return backdated(file)


def to(url: str) -> str:
    return f"[receivers.r.http]\nwebhook_url = {url}\n"


def view(trigger: Trigger) -> dict[str, Any]:
    return dict(trigger.notify(b"", query={"view": "status"}, method="GET").json)


def paths(standin: Standin) -> list[str]:
    return [request["path"] for request in standin.requests()]


# Secrets


def test_a_changed_environment_variable_is_used(
    own: Triggers, standin: Standin, tmp_path: Path, variables: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "n.toml", to('{ env = "TEST_HOOK_URL" }'))
    trigger = own.create({"config_file_path": str(file)})
    variables.setenv("TEST_HOOK_URL", f"{standin.url}/hook/one\n")
    assert trigger.notify(HI).json["results"] == {"r": True}
    variables.setenv("TEST_HOOK_URL", f"{standin.url}/hook/two")
    assert trigger.notify(HI).json["results"] == {"r": True}
    variables.delenv("TEST_HOOK_URL")
    assert trigger.notify(HI).json["results"] == {"r": True}
    assert paths(standin) == ["/hook/one", "/hook/two", "/hook/two"]
    assert "the environment variable TEST_HOOK_URL is not set where the server runs" in trigger.wait_for_log(
        "stays in use"
    )


def test_a_changed_secret_file_is_used(own: Triggers, standin: Standin, tmp_path: Path) -> None:
    secret = write(tmp_path / "hook", f"{standin.url}/hook/one\r\n")
    trigger = own.create({"config_file_path": str(write(tmp_path / "n.toml", to('{ file = "hook" }')))})
    assert trigger.notify(HI).json["results"] == {"r": True}
    write(secret, f"{standin.url}/hook/two\n")
    eventually(lambda: trigger.notify(HI).json and paths(standin)[-1] == "/hook/two", "the new secret is used")
    secret.unlink()
    for _ in range(3):
        assert trigger.notify(HI).json["results"] == {"r": True}
    assert set(paths(standin)) == {"/hook/one", "/hook/two"}


def test_an_edit_that_names_another_variable_is_used(
    own: Triggers, standin: Standin, tmp_path: Path, variables: pytest.MonkeyPatch
) -> None:
    variables.setenv("TEST_HOOK_ONE", f"{standin.url}/hook/one")
    variables.setenv("TEST_HOOK_TWO", f"{standin.url}/hook/two")
    file = write(tmp_path / "n.toml", to('{ env = "TEST_HOOK_ONE" }'))
    trigger = own.create({"config_file_path": str(file)})
    assert trigger.notify(HI).json["results"] == {"r": True}
    write(file, to('{ env = "TEST_HOOK_TWO" }') + "# the second\n")
    eventually(lambda: trigger.notify(HI).json and paths(standin)[-1] == "/hook/two", "the new variable is used")


def test_every_value_of_a_destination_can_be_a_secret(
    own: Triggers, standin: Standin, tmp_path: Path, variables: pytest.MonkeyPatch
) -> None:
    for name, value in {"URL": f"{standin.url}/hook/r", "USER": "me", "PASSWORD": "word", "TEAM": "ops"}.items():
        variables.setenv(f"TEST_{name}", value)
    write(tmp_path / "proxy", standin.url)
    write(tmp_path / "key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    text = to('{ env = "TEST_URL" }') + (
        'basic_auth = { username = { env = "TEST_USER" }, password = { env = "TEST_PASSWORD" } }\n'
        'headers = { X-Team = { env = "TEST_TEAM" } }\nproxy = { file = "proxy" }\n'
        'signing_secret = ["whsec_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", { file = "key" }]\n'
    )
    trigger = own.create({"config_file_path": str(write(tmp_path / "n.toml", text))})
    assert trigger.notify(HI).json["results"] == {"r": True}
    [request] = standin.requests()
    got = {name.lower(): value for name, value in request["headers"]}
    assert (got["authorization"], got["x-team"]) == ("Basic bWU6d29yZA==", "ops")
    assert got["webhook-signature"].count("v1,") == 2


MARK = "begins with a byte order mark, which is left out"
BREAKS = "ends with several line breaks, which are left out"


@pytest.mark.parametrize(
    ("content", "warnings"),
    [
        ("pass word", []),
        ("pass word\n", []),
        ("\ufeffpass word", [f"the file secret {MARK}"]),
        ("\ufeffpass word\r\n", [f"the file secret {MARK}"]),
        ("pass word\n\n", [f"the file secret {BREAKS}"]),
        ("pass word\r\n\r\n\r\n", [f"the file secret {BREAKS}"]),
    ],
)
def test_a_byte_order_mark_and_line_breaks_are_removed_from_a_secret(
    content: str, warnings: list[str], own: Triggers, standin: Standin, tmp_path: Path, variables: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "secret", content)
    variables.setenv("TEST_USER", "\ufeffme\n")
    url = f'"{standin.url}/hook/r"'
    file = to(url) + 'basic_auth = { username = { env = "TEST_USER" }, password = { file = "secret" } }\n'
    trigger = own.create({"config_file_path": str(write(tmp_path / "n.toml", file))})
    response = trigger.notify(HI).json
    assert response["results"] == {"r": True}
    [request] = standin.requests()
    got = {name.lower(): value for name, value in request["headers"]}
    assert base64.b64decode(got["authorization"].removeprefix("Basic ")) == b"me:pass word"
    expected = [f"the environment variable TEST_USER {MARK}", *warnings]
    assert len(response["warnings"]) == len(expected)
    for warning in expected:
        assert sum(line.endswith(warning) for line in response["warnings"]) == 1, response["warnings"]
    assert "pass word" not in str(response) + str(view(trigger)) + trigger.wait_for_log("delivered in")


def test_a_file_with_a_missing_secret_is_503_until_the_secret_exists(
    own: Triggers, standin: Standin, tmp_path: Path, variables: pytest.MonkeyPatch
) -> None:
    variables.delenv("TEST_HOOK_URL", raising=False)
    file = write(tmp_path / "n.toml", to('{ env = "TEST_HOOK_URL" }'))
    trigger = own.create({"config_file_path": str(file)})
    response = trigger.notify(HI)
    assert (response.status, response.json["results"]) == (503, {})
    assert response.json["message"] == (
        f"The configuration file {file} cannot be used: line 2, column 15: receivers.r.http.webhook_url: "
        "the environment variable TEST_HOOK_URL is not set where the server runs."
    )
    assert response.json["error"] == {
        "code": "config_file",
        "path": "config_file_path",
        "hint": f"Correct it; `influxdb3-notifier check {file}` shows everything.",
    }
    got = view(trigger)
    assert (got["status"], got["receivers"], got["error"]["code"]) == ("unusable", [], "config_file")
    assert got["error"]["message"] == response.json["message"]
    variables.setenv("TEST_HOOK_URL", f"{standin.url}/hook/r")
    assert trigger.notify(HI).json["results"] == {"r": True}


# Where the file is

PLACES: dict[str, Callable[[Path], dict[str, str]]] = {
    "PLUGIN_DIR": lambda directory: {
        "PLUGIN_DIR": str(directory),
        "INFLUXDB3_PLUGIN_DIR": "/nowhere",
        "VIRTUAL_ENV": "/no/.venv",
    },
    "INFLUXDB3_PLUGIN_DIR": lambda directory: {
        "PLUGIN_DIR": "",
        "INFLUXDB3_PLUGIN_DIR": str(directory),
        "VIRTUAL_ENV": "/no/.venv",
    },
    "the parent of VIRTUAL_ENV": lambda directory: {"VIRTUAL_ENV": str(directory / ".venv")},
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("name", ["notifier.toml", "conf.d/notifier.toml", "  notifier.toml "])
def test_a_relative_path_starts_at_the_plugin_directory(
    place: Callable[[Path], dict[str, str]],
    name: str,
    own: Triggers,
    standin: Standin,
    tmp_path: Path,
    variables: pytest.MonkeyPatch,
) -> None:
    for variable, value in place(tmp_path).items():
        variables.setenv(variable, value)
    file = tmp_path / name.strip()
    file.parent.mkdir(exist_ok=True)
    # Paths in the file are relative to the file.
    write(file, to('{ file = "hook" }'))
    write(file.parent / "hook", f"{standin.url}/hook/r")
    assert own.create({"config_file_path": name}).notify(HI).json["results"] == {"r": True}


def test_a_relative_path_without_a_base_directory_is_an_error(own: Triggers) -> None:
    response = own.create({"config_file_path": "notifier.toml"}).notify(HI)
    assert response.status == 503
    assert response.json["message"] == (
        "The configuration file notifier.toml has a relative path, and the directory that it starts from is unknown."
    )
    assert "PLUGIN_DIR" in response.json["error"]["hint"]


@pytest.mark.parametrize(("name", "what"), [("none.toml", "is not there"), ("", "is a directory")])
def test_a_file_that_cannot_be_read_is_503(name: str, what: str, own: Triggers, tmp_path: Path) -> None:
    path = f"{tmp_path}/{name}"
    response = own.create({"config_file_path": path}).notify(HI)
    assert (response.status, response.json["error"]["path"]) == (503, "config_file_path")
    assert response.json["message"] == f"The configuration file {path} {what}."


# Views


def test_the_status_view_names_the_receivers_and_the_warnings(own: Triggers, tmp_path: Path) -> None:
    text = "".join(f'[receivers.{name}.slack]\nwebhook_url = "https://a.example/{name}"\n' for name in ("b", "a", "c"))
    text += '[templates.t]\ntext = "{{ notification.tilte }}"\n'
    file = write(tmp_path / "n.toml", text)
    got = view(own.create({"config_file_path": str(file)}))
    assert (got["status"], got["receivers"]) == ("ok", ["b", "a", "c"])
    assert got["warnings"] == [
        f"{file}: line 8, column 8: templates.t.text: there is no notification.tilte, so this is empty; "
        "did you mean notification.title?"
    ]


# State across reloads


def test_triggers_with_equal_arguments_and_file_share_idempotency_keys(
    own: Triggers, standin: Standin, tmp_path: Path
) -> None:
    text = to(f'"{standin.url}/hook/r"')
    file = write(tmp_path / "n.toml", text)
    arguments = {"config_file_path": str(file)}
    one, other = own.create(arguments), own.create(arguments)
    body = HI | {"idempotency_key": "the same"}
    first = one.notify(body).json
    again = other.notify(body).json
    assert (first.get("replayed"), again["replayed"]) == (None, True)
    assert again["task_id"] == first["task_id"]
    write(file, text + "# edited\n")
    eventually(lambda: one.notify(body).json.get("replayed") is None, "the file is taken up")
    assert len(standin.requests()) == 2
