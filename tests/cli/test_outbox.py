"""``outbox``: inspection and repair while a server uses the outbox."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from influxdb3_notifier import _native
from tests.cli.program import Done, run
from tests.faults.isolation import MARK
from tests.faults.site import CONFIG, HOOK, MESSAGES, Site, to, wake
from tests.harness import Standin, eventually


class Desk:
    """An operator's commands while a server runs."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.server, self.trigger = site.start({"response_timeout": "2s", "max_attempts": "1"})
        wake(self.trigger)

    def run(self, verb: str, *arguments: object) -> Done:
        """``influxdb3-notifier outbox VERB FILE …``."""
        return run("outbox", verb, self.site.outbox, *arguments)

    def look(self) -> None:
        """Let the server check its outbox, as a schedule does."""
        arguments = {"config_file_path": CONFIG["config_file_path"]}
        self.server.create_trigger("look", spec="every:3600s", arguments=arguments)
        self.server.run_schedule("look")

    def dead(self, text: str, receiver: str = "hook", **more: object) -> str:
        """Create a dead letter, and return its task id."""
        before = self.site.states().count("dead")
        task = str(self.trigger.notify(to(receiver, text, **more)).json["task_id"])
        eventually(lambda: self.site.states().count("dead") > before, "a dead letter")
        return task


@pytest.fixture
def desk(tmp_path: Path, standin: Standin) -> Iterator[Desk]:
    """A server with an outbox."""
    with ExitStack() as stack:
        yield Desk(Site(tmp_path, standin, stack))


def test_dead_letters_are_listed_shown_retried_and_dropped_beside_a_working_server(desk: Desk) -> None:
    desk.site.standin.rule(HOOK, reply={"status": 404, "body": f"gone, {MARK}"}, times=2)
    first = desk.dead("the first", title="T", fields={"host": "db1"})
    second = desk.dead("the second")

    listed = desk.run("list")
    assert (listed.status, listed.err) == (0, "")
    assert [line[:38] for line in listed.lines() if "/0" in line] == [f"{first}/0", f"{second}/0"]
    assert "dead" in listed.out
    assert "(hook)" in listed.out
    assert "failed, 1 attempt: unknown_destination: " in listed.out or "failed, 1 attempt: rejected: " in listed.out
    assert listed.lines()[-1].endswith(": 2 deliveries")

    shown = desk.run("show", first[:8])
    assert 'notification_text: "the first"' in shown.out
    assert 'fields: {"host": "db1"}' in shown.out
    for done in (listed, shown, desk.run("list", "--format", "json"), desk.run("show", first, "--format", "json")):
        assert MARK not in done.out

    assert desk.run("retry", f"{first}/0").out.endswith(": 1 delivery queued again\n")
    # It would look by itself, every ten seconds.
    desk.look()
    texts = eventually(
        lambda: [json.loads(r["body"])["message"] for r in desk.site.standin.requests(HOOK) if r["status"] == 200],
        "it has arrived",
    )
    assert texts == ["the first"]
    assert desk.run("drop", second).out.endswith(": 1 delivery dropped\n")
    eventually(lambda: desk.run("list").lines() == [f"{desk.site.outbox}: 0 deliveries"], "nothing is left")
    dropped = desk.run("list", "--state", "dropped", "--format", "json").json["deliveries"]
    assert [(row["id"], row["delivery"]["reason"]) for row in dropped] == [(f"{second}/0", "dropped")]


def test_fields_that_a_route_extracts_are_stored_with_the_notification(tmp_path: Path, standin: Standin) -> None:
    with ExitStack() as stack:
        site = Site(tmp_path, standin, stack)
        route = "[[routes]]\nextract = '~host=(?<host>\\w+)'\nreceivers = [\"hook\"]\n"
        site.configure(site.config.read_text() + route)
        desk = Desk(site)
        standin.clear()
        standin.rule(HOOK, reply={"status": 404}, times=1)
        desk.trigger.notify({"notification_text": "host=db1"})
        eventually(lambda: site.states().count("dead") == 1, "a dead letter")
        [row] = desk.run("list", "--format", "json").json["deliveries"]
        assert 'fields: {"host": "db1"}' in desk.run("show", row["id"].partition("/")[0]).out
        desk.run("retry", "--all")
        desk.look()
        first, second = eventually(lambda: standin.requests(HOOK)[1:] and standin.requests(HOOK), "it is sent again")
        assert json.loads(first["body"]) == json.loads(second["body"])
        assert json.loads(second["body"])["fields"] == {"host": "db1"}


def test_pending_deliveries_are_listed_with_their_owner_and_can_be_dropped(desk: Desk) -> None:
    desk.site.standin.rule(HOOK, reply={"status": 503})
    _, patient = desk.site.start({"initial_backoff": "300ms", "max_backoff": "300ms", "response_timeout": "0s"})
    task = patient.notify(to("hook", "never")).json["task_id"]
    eventually(lambda: desk.site.standin.requests(HOOK), "the first attempt")
    [row] = desk.run("list", "--format", "json").json["deliveries"]
    assert (row["id"], row["state"], row["owned"], row["sealed"]) == (f"{task}/0", "waiting", True, False)
    assert "claimed by a server" in desk.run("list").out
    assert desk.run("drop", "--state", "waiting").status == 0
    patient.wait_for_log("dropped by an operator")
    tried = len(desk.site.standin.requests(HOOK))
    assert desk.run("stats", "--format", "json").json["dropped"] == 1
    assert len(desk.site.standin.requests(HOOK)) == tried


def test_deliveries_are_chosen_by_sender_receiver_reason_and_state(desk: Desk) -> None:
    desk.site.standin.rule(HOOK, reply={"status": 404})
    desk.site.standin.rule(MESSAGES, reply={"status": 401})
    desk.dead("one")
    desk.dead("two", "phone")
    desk.site.standin.clear()
    desk.trigger.notify(to("hook", "three", idempotency_key="k"))
    eventually(lambda: desk.site.states() == ["dead", "dead", "ended"], "all have ended")
    for arguments, count in [
        ((), 2),
        (("--state", "all"), 3),
        (("--state", "ended"), 1),
        (("--state", "waiting"), 0),
        (("--sender", "sms"), 1),
        (("--receiver", "hook"), 1),
        (("--reason", "unauthorized"), 1),
        (("--reason", "timeout"), 0),
        (("--limit", "1"), 1),
    ]:
        rows = desk.run("list", "--format", "json", *arguments).json["deliveries"]
        assert len(rows) == count, arguments
    assert "there may be more: use --limit" in desk.run("list", "--limit", "1").out
    counts = desk.run("stats")
    assert counts.lines()[:5] == ["waiting  0", "dead     2", "ended    1", "dropped  0", "requests 3"]
    assert desk.run("retry", "--receiver", "nobody").status == 1
    assert desk.run("drop", "--all", "--format", "json").json["deliveries"] == 2


def test_terminal_control_characters_are_printed_escaped(desk: Desk) -> None:
    hostile = "\x1b[31mred\x1b]0;title\x07 \x9b2J \u202eback\u202c \x7f \u2028 \U000e0001"
    desk.site.standin.rule(HOOK, reply={"status": 404, "body": hostile})
    task = desk.dead(hostile, title=hostile, fields={hostile: hostile})
    with closing(sqlite3.connect(desk.site.outbox)) as db, db:
        db.execute("UPDATE deliveries SET report = json_set(report, '$.destination', ?)", [hostile])
    for verb, *arguments in [("list",), ("show", task)]:
        for form in ((), ("--format", "json")):
            shown = desk.run(verb, *arguments, *form)
            assert all(line.isprintable() for line in shown.out.split("\n")), ascii(shown.out)
            assert "\\u001b[31mred" in shown.out
    shown = desk.run("show", task, "--format", "json").json
    assert shown["request"]["fields"] == {hostile: hostile}
    assert shown["deliveries"][0]["delivery"]["destination"] == hostile


@pytest.mark.parametrize("verb", ["retry", "drop"])
def test_a_change_needs_an_explicit_selection(desk: Desk, verb: str) -> None:
    desk.site.standin.rule(HOOK, reply={"status": 404})
    desk.dead("one")
    done = desk.run(verb)
    assert done.status == 2
    assert "name the deliveries" in done.err
    assert ("--state" in done.err.partition("name the deliveries")[2]) == (verb == "drop")
    wrong = desk.run(verb, "abc/x")
    assert (wrong.status, "is neither TASK nor TASK/INDEX" in wrong.err) == (2, True)
    assert desk.run(verb, "no-such-task").status == 1
    assert desk.site.states() == ["dead"]


def test_an_unknown_state_selects_nothing() -> None:
    with pytest.raises(ValueError, match="deed"):
        _native.DeliveryFilter(states=["deed"])


def _text(path: Path) -> None:
    path.write_text("no outbox, but a text " * 100)


@pytest.mark.parametrize("verb", ["list", "show", "retry", "drop", "stats"])
@pytest.mark.parametrize(
    ("make", "what"), [(None, "does not exist"), (_text, "is not an outbox file"), (Path.mkdir, "opened")]
)
def test_a_path_that_is_no_outbox_is_named_and_no_file_is_created(tmp_path: Path, verb: str, make, what: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "outbox.db"
    if make:
        make(path)
    more = ["x"] if verb in ("show", "retry", "drop") else []
    done = run("outbox", verb, path, *more)
    assert (done.status, done.out) == (3, "")
    assert what in done.err
    assert str(path) in done.err
    as_json = run("outbox", verb, path, *more, "--format", "json")
    assert as_json.status == 3
    assert what in as_json.json["error"]["message"]
    assert make or not path.exists()


def test_a_unique_prefix_names_a_task(desk: Desk) -> None:
    desk.site.standin.rule(HOOK, reply={"status": 404})
    desk.dead("one")
    desk.dead("two")
    done = desk.run("show", "")
    assert done.status == 1
    assert "2 tasks begin with " in done.err
    assert "no task begins with zzz" in desk.run("show", "zzz").err
