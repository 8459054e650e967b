"""The SQLite file of an outbox, and the commands that show it."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import run
from tests.faults.site import HOOK, Site, to
from tests.harness import Standin, eventually
from tests.shapes.golden import compare
from tests.shapes.stores import TIME, WORDS, Requests, readable

COLUMNS = {
    **WORDS,
    "accepted_age": "<milliseconds of the file's age>",
    "age": "<milliseconds of the file's age>",
    "boot_id": "<boot>",
    "deadline": "<milliseconds of the file's age>",
    "ended_used": "<milliseconds of use>",
    "heartbeat": "<milliseconds of the file's age>",
    "uptime": "<milliseconds>",
    "used": "<milliseconds of use>",
    "wall_clock": TIME,
}


@pytest.fixture
def site(tmp_path: Path, standin: Standin) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, standin, stack)


def test_the_file_and_the_commands(site: Site) -> None:
    requests = Requests(site, site.outbox)
    states = ["ended", "ended", "claimed", "claimed", "dead", "dead", "claimed", "dead"]
    rows_beside = "SELECT (SELECT count(*) FROM history), (SELECT count(*) FROM last_notifications)"
    requests.make(lambda: (site.states(), site.rows(rows_beside)), (states, [(1, 2)]))
    with closing(sqlite3.connect(site.outbox)) as db, db:
        compare("sqlite/schema", schema(db))
        tables = ("file_clock", "owners", "requests", "request_bodies", "deliveries", "history", "last_notifications")
        compare("sqlite/rows", {table: rows(db, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables}, COLUMNS)  # noqa: S608

    def shown(name: str, verb: str, *arguments: str) -> None:
        # The member ``ended`` of the statistics is a count.
        words = {member: word for member, word in WORDS.items() if (verb, member) != ("stats", "ended")}
        compare(name, requests.command(verb, *arguments), words)

    shown("command_line/outbox_list", "list", "--state", "all")
    shown("command_line/outbox_show", "show", requests.dead)
    shown("command_line/outbox_stats", "stats")
    shown("command_line/outbox_retry", "retry", requests.to_retry)
    shown("command_line/outbox_drop", "drop", requests.to_drop)
    changed = "SELECT deliveries.* FROM deliveries JOIN requests ON request = id WHERE task IN (?, ?) ORDER BY id"
    with closing(sqlite3.connect(site.outbox)) as db, db:
        compare("sqlite/retried_and_dropped", rows(db, changed, requests.to_retry, requests.to_drop), COLUMNS)


def test_a_reason_of_a_later_version_is_internal_and_its_members_are_left_out(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 404, "body": "no such hook"})
    engine, trigger = site.start()
    assert trigger.notify(to("hook")).json["results"] == {"hook": False}
    eventually(lambda: site.states() == ["dead"], "a dead letter")
    engine.stop()
    site.rows("UPDATE deliveries SET report = json_set(report, '$.reason', 'beam_lost', '$.beam', 7)")
    done = run("outbox", "list", site.outbox, "--format", "json")
    [row] = done.json["deliveries"]
    delivery = row["delivery"]
    assert (delivery["reason"], delivery["detail"]) == ("internal", "the receiver: no such hook")
    assert "beam" not in done.out


def schema(db: sqlite3.Connection) -> dict[str, Any]:
    """The tables and indexes of the file."""
    names = ("application_id", "user_version", "journal_mode")
    pragmas = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in names}
    made = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
    return {**pragmas, **{name: sql.splitlines() for name, sql in made}}


def rows(db: sqlite3.Connection, query: str, *parameters: str) -> list[dict[str, Any]]:
    """Rows with their columns; bytes by their number."""
    found = db.execute(query, parameters)
    names = [column[0] for column in found.description]
    return [dict(zip(names, map(_shown, row), strict=True)) for row in found]


def _shown(value: object) -> object:
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return readable(value) if isinstance(value, str) else value
