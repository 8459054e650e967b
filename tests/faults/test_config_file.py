"""Changes of the configuration file while requests run: valid and invalid edits, deletion, partial writes."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.case import backdated, write_config
from tests.harness import Standin, Trigger, Triggers, eventually

STAYS = "The previous configuration stays in use."
TAKEN_UP = "the configuration file was reloaded: 1 receiver, 0 routes"


class Edited:
    """A trigger whose file changes while requests run. Every request must be delivered."""

    def __init__(self, triggers: Triggers, standin: Standin) -> None:
        self.url = standin.url
        self.file = write_config(triggers.engine.plugin_dir, self.text("before"))
        self.trigger: Trigger = triggers.create({"config_file_path": str(self.file)})
        self._stop = threading.Event()
        self._failures: list[Any] = []
        self._sent = 0
        self._threads = [threading.Thread(target=self._send) for _ in range(2)]

    def text(self, name: str) -> str:
        """A good file, which sends to a path of that name."""
        return f'[settings]\ndefault_receivers = ["r"]\n[receivers.r.http]\nwebhook_url = "{self.url}/hook/{name}"\n'

    def _send(self) -> None:
        while not self._stop.is_set():
            self._send_one()
            time.sleep(0.03)

    def _send_one(self) -> None:
        self._sent += 1
        response = self.trigger.notify({"notification_text": f"{threading.get_ident()} {self._sent}"})
        if response.status != 200 or response.json["results"] != {"r": True}:
            self._failures.append(response.text)

    def __enter__(self) -> "Edited":
        # Only a file that was read once stays in use.
        self._send_one()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert self._failures == []
        assert self._sent > 2

    def lines(self, part: str) -> list[str]:
        return [text for _, text in self.trigger.log_lines() if part in text]

    def status(self) -> dict[str, Any]:
        return dict(self.trigger.notify(b"", query={"view": "status"}, method="GET").json)

    def goes_on(self, standin: Standin, name: str) -> None:
        """More requests arrive at the path of that name."""
        before = len(standin.requests(f"/hook/{name}"))
        eventually(lambda: len(standin.requests(f"/hook/{name}")) > before + 3, f"requests at {name}")


@pytest.fixture
def edited(triggers: Triggers, standin: Standin) -> Iterator[Edited]:
    """A trigger to which requests run."""
    with Edited(triggers, standin) as edited:
        edited.goes_on(standin, "before")
        yield edited


def overwrite(content: str | bytes) -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        backdated(file)

    return edit


def half(file: Path) -> None:
    text = file.read_text()
    overwrite(text[: text.index("http://") + 4])(file)


def remove(file: Path) -> None:
    file.unlink()


def directory(file: Path) -> None:
    file.unlink()
    file.mkdir()
    backdated(file)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)
    backdated(file)


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no TOML": (overwrite("[receivers.r\n"), "line 1, column 13: this table's name is not closed; ] is missing"),
    "half-written": (half, "line 4, column 20: this string is not closed"),
    "an unknown key": (
        overwrite('[receivers.r.http]\nwebhook_ulr = "x"\n'),
        "line 2, column 1: receivers.r.http.webhook_ulr: unknown field; did you mean webhook_url? The previous",
    ),
    "a secret that is not there": (
        overwrite('[receivers.r.http]\nwebhook_url = { env = "NOT_SET_ANYWHERE" }\n'),
        "line 2, column 15: receivers.r.http.webhook_url: the environment variable NOT_SET_ANYWHERE is not set",
    ),
    "a default receiver that is gone": (
        overwrite('[settings]\ndefault_receivers = "r"\n'),
        "line 2, column 21: settings.default_receivers: there is no such receiver",
    ),
    "no UTF-8": (
        overwrite(b'[receivers.r]\na = "\xff"\n'),
        "line 2, column 6: this is no UTF-8; save the file as UTF-8",
    ),
    "empty": (overwrite(""), "line 1, column 1: the file is empty"),
    "deleted": (remove, "is not there."),
    "a directory": (directory, "is a directory."),
    "a pipe": (pipe, "is no file."),
}


@pytest.mark.parametrize(("edit", "why"), BROKEN.values(), ids=BROKEN)
def test_after_an_invalid_edit_the_last_valid_configuration_stays_and_the_log_says_why_once(
    edit: Callable[[Path], None], why: str, edited: Edited, standin: Standin
) -> None:
    edit(edited.file)
    line = edited.trigger.wait_for_log(STAYS)
    assert line.startswith("notifier [-] The configuration file ")
    assert why in line
    edited.goes_on(standin, "before")
    status = edited.status()
    assert (status["status"], status["warnings"]) == ("outdated", [])
    assert status["error"]["message"].endswith(STAYS)
    assert why in status["error"]["message"]
    assert status["last_errors"][0]["line"] == line
    edited.goes_on(standin, "before")
    assert len(edited.lines(STAYS)) == 1
    # The corrected file is loaded.
    if edited.file.is_dir():
        edited.file.rmdir()
    edited.file.unlink(missing_ok=True)
    overwrite(edited.text("after"))(edited.file)
    edited.trigger.wait_for_log(TAKEN_UP)
    edited.goes_on(standin, "after")
    assert edited.status()["warnings"] == []
    assert len(edited.lines("the configuration file")) == 1


def test_a_valid_edit_is_used_without_a_restart(edited: Edited, standin: Standin) -> None:
    overwrite(edited.text("after"))(edited.file)
    edited.goes_on(standin, "after")
    assert edited.lines(STAYS) == []
    assert len(edited.lines(TAKEN_UP)) == 1


def test_a_replaced_file_is_used(edited: Edited, standin: Standin) -> None:
    """Editors write so, and mounted volumes change so."""
    new = edited.file.with_suffix(".new")
    new.write_text(edited.text("after"))
    shutil.move(new, edited.file)
    edited.goes_on(standin, "after")
    assert edited.lines(STAYS) == []


def test_a_file_is_not_read_while_it_is_being_written(edited: Edited, standin: Standin) -> None:
    text = edited.text("after")
    pieces = [text[: len(text) * n // 8] for n in range(1, 8)]
    for piece in pieces:
        edited.file.write_text(piece)
        edited.goes_on(standin, "before")
    edited.file.write_text(text)
    edited.goes_on(standin, "after")
    assert edited.lines(STAYS) == []
    assert len(edited.lines(TAKEN_UP)) == 1


def test_a_file_that_is_missing_for_a_moment_changes_nothing(edited: Edited, standin: Standin) -> None:
    for _ in range(3):
        edited.file.unlink()
        edited.goes_on(standin, "before")
        edited.file.write_text(edited.text("before"))
        edited.goes_on(standin, "before")
    edited.trigger.wait_for_log(TAKEN_UP)
    assert edited.lines(STAYS) == []


def test_a_bad_secret_file_is_named_and_the_status_view_shows_it(triggers: Triggers, standin: Standin) -> None:
    with Edited(triggers, standin) as edited:
        secret = edited.file.with_name("hook-url")
        overwrite(f"{standin.url}/hook/first\n")(secret)
        overwrite('[settings]\ndefault_receivers = ["r"]\n[receivers.r.http]\nwebhook_url = { file = "hook-url" }\n')(
            edited.file
        )
        edited.goes_on(standin, "first")
        overwrite("hooks.example.com/token\n")(secret)
        line = edited.trigger.wait_for_log(STAYS)
        assert line.startswith(
            f"notifier [-] The file hook-url, which {edited.file} names (line 4, column 15: "
            "receivers.r.http.http_webhook_url), cannot be used: "
        )
        assert f"`influxdb3-notifier check --resolve {edited.file}`" in line
        assert "hooks.example.com" not in line
        edited.goes_on(standin, "first")
        status = edited.status()
        assert (status["status"], status["receivers"]) == ("outdated", ["r"])
        assert status["error"]["message"].startswith("The file hook-url, which ")
        assert status["last_errors"][0]["line"] == line
        overwrite(f"{standin.url}/hook/second\n")(secret)
        edited.goes_on(standin, "second")
        status = edited.status()
        assert (status["status"], "error" in status) == ("ok", False)
