"""A storm makes few messages: ``repeat_interval`` and ``max_per_minute``, as a caller sees them.

What takes a minute is tested in paused time, in core/src/delivery/tests/throttle.rs.
"""

import itertools
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ProcessEngine, Response, Standin, Trigger, Triggers, eventually

_numbers = itertools.count(1)

SENT = ("delivered", None)
NO_NEWS = ("suppressed", "repeat_interval")

Step = tuple[dict[str, Any], tuple[str, str | None]]

FIRING = {"level": "critical", "status": "firing"}
RESOLVED = {"level": "critical", "status": "resolved"}
STORIES: dict[str, list[Step]] = {
    "the same": [(FIRING, SENT), (FIRING, NO_NEWS), (FIRING, NO_NEWS)],
    "another text": [(FIRING, SENT), ({**FIRING, "notification_text": "cpu at 98 %"}, NO_NEWS)],
    "neither level nor status": [({}, SENT), ({}, NO_NEWS)],
    "the level by the text": [
        ({"notification_text": "[WARN] x"}, SENT),
        ({"notification_text": "[WARN] y"}, NO_NEWS),
        ({"notification_text": "[ERROR] y"}, SENT),
    ],
    "another level": [({**FIRING, "level": "warning"}, SENT), (FIRING, SENT), ({**FIRING, "level": "warning"}, SENT)],
    "another status": [({"level": "critical"}, SENT), (FIRING, SENT), (FIRING, NO_NEWS)],
    "resolved": [(FIRING, SENT), (RESOLVED, SENT), (RESOLVED, NO_NEWS), (RESOLVED, NO_NEWS), (FIRING, SENT)],
    "resolved without a firing": [(RESOLVED, SENT), (RESOLVED, NO_NEWS), ({"status": "resolved"}, SENT)],
    "another key": [(FIRING, SENT), ({**FIRING, "dedup_key": "another"}, SENT)],
    "no key": [({**FIRING, "dedup_key": None}, SENT), ({**FIRING, "dedup_key": None}, SENT)],
}


@pytest.fixture
def path() -> str:
    """A unique path of the stand-in, because the process remembers its last notification."""
    return f"/hook/calm-{next(_numbers)}"


def request(url: str, **fields: Any) -> dict[str, Any]:
    """An alert to one generic webhook."""
    senders = {"http": {"http_webhook_url": url}}
    return {"notification_text": "cpu at 97 %", "senders_config": senders, "dedup_key": "cpu", **fields}


def outcome(response: Response) -> tuple[str, str | None]:
    """The outcome of the only delivery, and the rule that suppressed it."""
    [entry] = response.json["deliveries"]
    return entry["outcome"], entry.get("rule")


@pytest.mark.parametrize("story", STORIES)
def test_an_equal_notification_within_the_interval_is_suppressed(
    story: str, path: str, triggers: Triggers, standin: Standin
) -> None:
    trigger = triggers.create({"repeat_interval": "1h"})
    steps = STORIES[story]
    for n, (fields, expected) in enumerate(steps):
        assert outcome(trigger.notify(request(standin.url + path, **fields))) == expected, f"step {n}"
    assert len(standin.requests(path)) == [expected for _, expected in steps].count(SENT)


def test_a_suppressed_repeat_is_a_success_and_a_log_line(path: str, triggers: Triggers, standin: Standin) -> None:
    trigger = triggers.create({"repeat_interval": "1h"})
    body = request(standin.url + path, **FIRING)
    trigger.notify(body)
    response = trigger.notify(body)
    assert (response.status, response.json["status"]) == (200, "success")
    assert response.json["results"] == {"http": "suppressed"}
    level, line = trigger.log_lines()[-1]
    assert level == "INFO"
    assert response.json["task_id"] in line
    assert line.endswith("suppressed by repeat_interval")


def test_after_the_interval_an_equal_notification_is_sent_again(
    path: str, triggers: Triggers, standin: Standin
) -> None:
    trigger = triggers.create({"repeat_interval": "1s"})
    body = request(standin.url + path, **FIRING)
    assert outcome(trigger.notify(body)) == SENT
    sent = time.monotonic()
    assert outcome(trigger.notify(body)) == NO_NEWS
    time.sleep(max(0.0, sent + 1.05 - time.monotonic()))
    assert outcome(trigger.notify(body)) == SENT


def test_another_destination_and_one_that_failed_are_notified(path: str, triggers: Triggers, standin: Standin) -> None:
    trigger = triggers.create({"repeat_interval": "1h"})
    standin.rule(path, reply={"status": 400}, times=1)
    responses = [outcome(trigger.notify(request(standin.url + path, **FIRING))) for _ in range(3)]
    assert responses == [("failed", None), SENT, NO_NEWS]
    assert outcome(trigger.notify(request(standin.url + path + "/other", **FIRING))) == SENT


def test_without_the_interval_equal_notifications_are_sent(path: str, triggers: Triggers, standin: Standin) -> None:
    trigger = triggers.create()
    for fields in (FIRING, RESOLVED):
        body = request(standin.url + path, **fields)
        assert [outcome(trigger.notify(body)) for _ in range(2)] == [SENT, SENT]


def test_the_configuration_file_can_set_the_interval(tmp_path: Path, standin: Standin) -> None:
    settings = '[settings]\nrepeat_interval = "1h"\nmax_per_minute = 1\nmax_per_batch = 5\n'
    with ExitStack() as stack:
        engine = stack.enter_context(ProcessEngine(tmp_path))
        (engine.plugin_dir / "notifier.toml").write_text(settings)
        trigger = Triggers(engine, stack).create({"config_file_path": "notifier.toml", "max_per_minute": "7"})
        url = standin.url + "/hook/by-file"
        responses = [trigger.notify(request(url, dedup_key=key)) for key in ("a", "a", "b")]
        assert [outcome(response) for response in responses] == [SENT, NO_NEWS, ("pending", None)]
        [warning] = responses[0].json["warnings"]
        assert warning.startswith("trigger argument max_per_minute: the configuration file has another value")


def test_a_storm_of_a_hundred_requests_makes_few_messages_and_every_caller_has_its_answer(
    tmp_path: Path, standin: Standin
) -> None:
    path = "/hook/storm"
    with ExitStack() as stack:
        engine = stack.enter_context(ProcessEngine(tmp_path))
        trigger = Triggers(engine, stack).create({"max_per_minute": "5"})

        def call(n: int) -> Response:
            return trigger.notify(request(standin.url + path, dedup_key=None, notification_text=f"disk {n} full"))

        with ThreadPoolExecutor(20) as pool:
            responses = list(pool.map(call, range(100)))
        entries = [response.json["deliveries"][0] for response in responses]
        held = [entry for entry in entries if entry["outcome"] == "pending"]
        assert (len(held), len(standin.requests(path))) == (95, 5)
        # They wait for the minute's end, and no caller for them.
        assert all(55_000 < entry["next_attempt_in_ms"] <= 60_000 for entry in held)
        assert max(response.elapsed for response in responses) < 2
        view = trigger.notify(b"", query={"view": "status"}, method="GET").json
        assert (view["in_flight"], view["pending"]) == (95, 95)


# With an outbox


@pytest.fixture
def kept(tmp_path: Path) -> str:
    """The text of a configuration file with an outbox."""
    (tmp_path / "plugins").mkdir()
    return f"""
[settings]
outbox = "{tmp_path / "outbox.db"}"
repeat_interval = "1h"
max_per_minute = 2
[receivers.hook.http]
webhook_url = "URL/hook/kept"
[receivers.chat.discord]
webhook_url = "URL/api/webhooks/100000000000000001/{"a" * 68}"
"""


def start(stack: ExitStack, directory: Path, config: str, standin: Standin) -> tuple[ProcessEngine, Trigger]:
    """A new process with one trigger."""
    engine = stack.enter_context(ProcessEngine(directory))
    (engine.plugin_dir / "notifier.toml").write_text(config.replace("URL", standin.url))
    return engine, Triggers(engine, stack).create({"config_file_path": "notifier.toml"})


def alert(receiver: str, **fields: Any) -> dict[str, Any]:
    """An alert to a receiver of the file."""
    return {"notification_text": "cpu at 97 %", "receivers": [receiver], "dedup_key": "cpu", **FIRING, **fields}


def test_a_restart_keeps_the_last_notification_and_its_message_is_edited(
    tmp_path: Path, kept: str, standin: Standin
) -> None:
    with ExitStack() as stack:
        engine, trigger = start(stack, tmp_path, kept, standin)
        for receiver in ("hook", "chat"):
            assert outcome(trigger.notify(alert(receiver))) == SENT
        # The last notification is stored before the end of the delivery.
        eventually(lambda: not _sql(tmp_path, "SELECT 1 FROM deliveries"), "both ends are noted")
        engine.kill()
        _, trigger = start(stack, tmp_path, kept, standin)
        for receiver in ("hook", "chat"):
            assert outcome(trigger.notify(alert(receiver))) == NO_NEWS
        response = trigger.notify(alert("chat", status="resolved"))
        assert outcome(response) == SENT
        posted, edited = standin.requests("/api/webhooks/")
        assert (posted["method"], edited["method"]) == ("POST", "PATCH")
        message = response.json["deliveries"][0]["message_id"]
        assert message
        assert edited["path"].endswith(f"/messages/{message}")


def test_a_resolved_that_was_sent_before_a_restart_is_not_sent_again(
    tmp_path: Path, kept: str, standin: Standin
) -> None:
    kept = kept.replace("max_per_minute = 2", "")
    with ExitStack() as stack:
        engine, trigger = start(stack, tmp_path, kept, standin)
        steps: list[Step] = [(FIRING, SENT), (RESOLVED, SENT), (RESOLVED, NO_NEWS)]
        for fields, expected in steps:
            assert outcome(trigger.notify(alert("hook", **fields))) == expected
        eventually(lambda: not _sql(tmp_path, "SELECT 1 FROM deliveries"), "both ends are noted")
        engine.kill()
        _, trigger = start(stack, tmp_path, kept, standin)
        for fields, expected in [(RESOLVED, NO_NEWS), (FIRING, SENT), (RESOLVED, SENT)]:
            assert outcome(trigger.notify(alert("hook", **fields))) == expected


def test_a_digest_of_a_killed_process_is_sent_by_the_next(tmp_path: Path, kept: str, standin: Standin) -> None:
    path = "/hook/kept"
    with ExitStack() as stack:
        engine, trigger = start(stack, tmp_path, kept, standin)
        for n in range(5):
            trigger.notify(alert("hook", dedup_key=f"cpu {n}", notification_text=f"cpu {n}"))
        assert len(standin.requests(path)) == 2
        eventually(lambda: len(_sql(tmp_path, "SELECT 1 FROM deliveries")) == 3, "both ends are noted")
        engine.kill()
        _sql(tmp_path, "DELETE FROM owners")
        _, trigger = start(stack, tmp_path, kept, standin)
        trigger.notify({"notification_text": "x", "senders_config": {}})
        # The limit also applies to recovered deliveries: two are sent, and one waits.
        texts = [json.loads(found["body"])["message"] for found in standin.wait_for(path, 4)]
        assert sorted(texts) == ["cpu 0", "cpu 1", "cpu 2", "cpu 3"]

        def in_flight() -> int:
            return int(trigger.notify(b"", query={"view": "status"}, method="GET").json["in_flight"])

        eventually(lambda: in_flight() == 1, "two have ended")


def _sql(directory: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(directory / "outbox.db")) as db, db:
        return db.execute(sql).fetchall()
