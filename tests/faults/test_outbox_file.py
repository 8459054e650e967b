"""The outbox file: errors of an unusable file, and the stored data."""

import json
import resource
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.isolation import MARK, NUMBER
from tests.faults.site import HOOK, KEY, Site, arrived, to, wake
from tests.harness import Response, eventually, free_port

# Errors of the file


def unusable(response: Response, what: str) -> None:
    """Check that nothing was sent, and that the response has a reason and a hint."""
    assert response.status == 503, response.text
    assert response.json["results"] == {}
    error = response.json["error"]
    assert error["code"] == "outbox"
    assert what in response.json["message"], response.json["message"]
    assert response.json["message"].endswith("Nothing was sent.")
    assert len(error["hint"]) > 20


def _make_text(path: Path) -> None:
    path.write_text("this is no database, but a text that is long enough to be taken for one " * 20)


def _make_another(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE songs (title TEXT)")


def _make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"PRAGMA application_id = {0x494E464E}")
        db.execute("PRAGMA user_version = 99")
        db.execute("CREATE TABLE requests (id INTEGER)")


def _make_older(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"PRAGMA application_id = {0x494E464E}")
        db.execute("PRAGMA user_version = 3")
        db.execute("CREATE TABLE requests (id INTEGER)")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (_make_text, "is not an outbox file"),
        (_make_another, "is not an outbox file"),
        (_make_newer, "was created by a newer version"),
        (_make_older, "was created by an older version"),
        (Path.mkdir, "is not an outbox file"),
    ],
    ids=["text", "another database", "newer", "older", "directory"],
)
def test_a_file_that_is_no_outbox_is_not_changed(site: Site, make: Callable[[Path], object], what: str) -> None:
    make(site.outbox)
    before = site.outbox.read_bytes() if site.outbox.is_file() else b""
    _, trigger = site.start()
    unusable(trigger.notify(to("hook")), what)
    assert site.standin.requests(HOOK) == []
    assert before == (site.outbox.read_bytes() if site.outbox.is_file() else b"")


def test_a_missing_directory_is_an_error(site: Site) -> None:
    site.change('"outbox.db"', '"nowhere/outbox.db"')
    _, trigger = site.start()
    unusable(trigger.notify(to("hook")), "its directory does not exist")
    assert site.standin.requests(HOOK) == []
    # After the file exists, requests succeed.
    (site.directory / "plugins" / "nowhere").mkdir()
    assert trigger.notify(to("hook")).json["results"] == {"hook": True}


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_read_only_file_is_an_error(site: Site, what: str) -> None:
    if what == "file":
        engine, trigger = site.start()
        wake(trigger)
        engine.kill()
        place = site.outbox
    else:
        place = site.outbox.parent / "closed"
        place.mkdir()
        site.change('"outbox.db"', '"closed/outbox.db"')
    mode = place.stat().st_mode
    place.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        _, again = site.start(privileged=False)
        unusable(again.notify(to("hook")), "cannot be opened: permission denied")
        assert site.standin.requests(HOOK) == []
    finally:
        place.chmod(mode)


def test_a_damaged_file_is_an_error(site: Site) -> None:
    engine, trigger = site.start()
    for n in range(20):
        trigger.notify(to("hook", "x" * 1000, idempotency_key=str(n)))
    engine.stop()
    site.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    before = len(site.standin.requests(HOOK))
    with site.outbox.open("r+b") as file:
        size = site.outbox.stat().st_size
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    _, again = site.start()
    unusable(again.notify(to("hook", idempotency_key="new")), "is damaged")
    assert len(site.standin.requests(HOOK)) == before


def test_a_full_disk_is_an_error(site: Site) -> None:
    """SQLite's size limit has the same error as a full disk."""
    engine, trigger = site.start()
    wake(trigger)
    resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
    responses = [trigger.notify(to("hook", "x" * 100_000)) for _ in range(3)]
    assert {response.status for response in responses} == {503}, [response.text for response in responses]
    assert all(response.json["error"]["code"] == "outbox" for response in responses)
    assert site.standin.requests(HOOK) == []


def test_a_file_locked_by_another_program_is_an_error(site: Site) -> None:
    _, trigger = site.start()
    wake(trigger)
    with closing(sqlite3.connect(site.outbox, isolation_level=None)) as locked:
        locked.execute("BEGIN IMMEDIATE")
        response = trigger.notify(to("hook"))
        unusable(response, "is locked by another program")
        assert response.elapsed < 2.2
        locked.execute("ROLLBACK")
    assert trigger.notify(to("hook", "after")).json["results"] == {"hook": True}
    assert [json.loads(request["body"])["message"] for request in site.standin.requests(HOOK)] == ["after"]
    eventually(lambda: not site.states(), "nothing of the first is left")


def test_a_moved_file_is_created_again_and_deliveries_in_flight_continue(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503}, times=1)
    _, trigger = site.start({"initial_backoff": "500ms", "max_backoff": "500ms", "response_timeout": "0s"})
    trigger.notify(to("hook", "first"))
    arrived(site.standin, HOOK, 1)
    for name in site.outbox.parent.glob("outbox.db*"):
        name.rename(name.with_name("moved-" + name.name))
    trigger.notify(to("hook", "second"))
    eventually(lambda: len(site.standin.messages()) == 2, "both have arrived")
    assert site.outbox.exists()


# Stored data


def test_a_request_with_its_own_destination_is_refused_without_an_encryption_key(site: Site) -> None:
    site.change('outbox_key = { env = "OUTBOX_KEY" }\n', "")
    _, trigger = site.start()
    own = {"http": {"http_webhook_url": f"{site.standin.url}/hook/own"}}
    response = trigger.notify({"notification_text": "hi", "senders_config": own, "receivers": ["hook"]})
    assert response.status == 503
    assert response.json["error"]["code"] == "outbox_key_missing"
    assert "outbox_key" in response.json["error"]["hint"]
    assert "receivers" in response.json["error"]["hint"]
    assert site.standin.requests() == []
    assert trigger.notify(to("hook")).json["results"] == {"hook": True}


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ('"0123456789abcdef"', 'must be { env = "NAME" } or { file = "PATH" }'),
        ('{ env = "SHORT_KEY" }', "the key is shorter than 16 bytes"),
        ('{ env = "NO_SUCH_KEY" }', "the environment variable NO_SUCH_KEY is not set"),
    ],
)
def test_an_unusable_key_is_named_with_its_location(site: Site, key: str, what: str) -> None:
    site.change('{ env = "OUTBOX_KEY" }', key)
    _, trigger = site.start(environment={"SHORT_KEY": "short"})
    response = trigger.notify(to("hook"))
    assert response.status == 503
    assert what in response.json["message"]
    assert "settings.outbox_key" in response.json["message"]


def test_nothing_in_the_file_is_a_secret(site: Site) -> None:
    site.standin.rule("*", reply={"status": 500, "body": f"token {MARK} of {NUMBER}"})
    _, trigger = site.start()
    own = {
        "http": {"http_webhook_url": f"{site.standin.url}/hook/own-{MARK}", "http_headers": MARK},
        "email": {
            "email_host": "127.0.0.1",
            "email_port": free_port(),
            "email_from": "alerts@example.com",
            "email_to": [f"{MARK}@example.com"],
            "email_username": MARK,
            "email_password": MARK,
        },
    }
    trigger.notify({"notification_text": "hi", "senders_config": own, "receivers": ["hook", "chat", "phone"]})
    eventually(lambda: "dead" in site.states() or len(site.states()) == 5, "all are kept")
    kept = b"".join(path.read_bytes() for path in site.outbox.parent.glob("outbox.db*"))
    assert b"hi" in kept
    for secret in (MARK, NUMBER, KEY):
        assert secret.encode() not in kept, secret


def test_members_that_are_not_documented_are_not_stored(site: Site) -> None:
    """One may be a misspelt ``senders_config``, with secrets."""
    site.standin.rule(HOOK, reply={"status": 503})
    _, trigger = site.start({"response_timeout": "0s"})
    misspelt = {"sender_config": {"slack": {"slack_webhook_url": MARK}}, "Receivers": [MARK]}
    assert trigger.notify(to("hook", "hi", fields={"host": "db1"}, **misspelt)).status == 200
    [(stored,)] = site.rows("SELECT json FROM request_bodies")
    assert json.loads(stored) == {"notification_text": "hi", "fields": {"host": "db1"}}
    assert MARK.encode() not in b"".join(path.read_bytes() for path in site.outbox.parent.glob("outbox.db*"))


def test_the_file_is_its_owners_alone(site: Site) -> None:
    _, trigger = site.start()
    trigger.notify(to("hook"))
    for path in site.outbox.parent.glob("outbox.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_pending_deliveries_are_counted(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503})
    _, trigger = site.start({"response_timeout": "0s"})
    for n in range(3):
        trigger.notify(to("hook", f"m{n}"))
    metrics = trigger.notify(b"", query={"view": "metrics"}, method="GET").text
    assert "\nnotifier_outbox_depth 3\n" in metrics


def test_a_dry_run_and_a_request_without_receivers_are_not_stored(site: Site) -> None:
    _, trigger = site.start()
    wake(trigger)
    assert trigger.notify(to("hook", dry_run=True)).json["results"] == {"hook": "dry_run"}
    assert site.states() == []


def test_the_default_delivery_timeout_with_an_outbox_is_a_day(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503})
    _, trigger = site.start()
    trigger.notify(to("hook"))
    assert site.rows("SELECT timeout FROM deliveries") == [(86_400_000,)]
    _, other = site.start({"delivery_timeout": "2min"})
    other.notify(to("hook"))
    assert site.rows("SELECT timeout FROM deliveries ORDER BY request DESC LIMIT 1") == [(120_000,)]
