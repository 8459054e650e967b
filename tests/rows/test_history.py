"""Each delivery's end is a row of ``history_table``."""

import time

import pytest

from influxdb3_notifier import process_request, process_scheduled_call
from tests import harness
from tests.engine_host.line_protocol import parse_line
from tests.engine_host.local import PanicException
from tests.recording_local import RecordingLocal
from tests.rows.table import Table

PLUGIN_API = 1
HOUR = "3600s"


def notify(table: Table, body: dict[str, object], name: str = "r") -> harness.Response:
    """Send a request to the trigger ``r``."""
    return harness.post(table.engine, {"notification_text": "disk full"} | body, route=name)


def requests(table: Table, name: str = "r", **arguments: str) -> None:
    """Create a request trigger with a history."""
    given = {"config_file_path": table.file, "history_table": "notifications", **arguments}
    table.engine.create_trigger(name, spec=f"request:{name}", arguments=given)


def columns(line: str) -> dict[str, object]:
    """The tags and fields of a line."""
    return {name: value for name, (_, value) in parse_line(line).columns.items()}


def test_a_delivery_is_a_row_before_the_call_is_answered(table: Table) -> None:
    requests(table)
    response = notify(table, {"level": "critical"}).json
    [line] = table.history()
    row = columns(line)
    assert row.pop("elapsed_ms") in range(5_000)
    assert row == {
        "sender": "http",
        "destination": response["deliveries"][0]["destination"],
        "outcome": "delivered",
        "level": "critical",
        "task_id": response["task_id"],
        "attempts": 1,
        "text_bytes": 9,
        "receiver": "oncall",
        "route": "{}",
        "http_status": 200,
    }
    kinds = [kind for kind, _ in parse_line(line).columns.values()]
    assert kinds == ["tag"] * 4 + ["field::string"] + ["field::integer"] * 3 + ["field::string"] * 2 + [
        "field::integer"
    ]


ALERTS = """
[[routes]]
name = "databases"
receivers = ["team"]
group_by = ["fields.region"]
group_wait = "0s"
group_interval = "1s"
"""


def test_a_row_names_receiver_route_group_and_kind(table: Table) -> None:
    table.configure('state = "memory"\nhistory_table = "notifications"', ALERTS)
    requests(table)
    alert: dict[str, object] = {
        "dedup_key": "db1",
        "title": "disk \n full",
        "fields": {"region": "eu"},
        "level": "error",
    }
    rows: list[dict[str, object]] = []
    for number, change in enumerate([{"status": "firing"}, {"level": "critical"}, {"status": "resolved"}]):
        alert |= change
        notify(table, alert)

        def is_written(number: int = number) -> bool:
            table.engine.run_schedule("s")
            return len(table.history()) > number

        if not number:
            table.engine.create_trigger("s", spec="every:3600s", arguments={"config_file_path": table.file})
        harness.eventually(is_written)
        rows = [columns(line) for line in table.history()]
    assert [(row["kind"], row["status"], row["level"]) for row in rows] == [
        ("first", "firing", "error"),
        ("change", "firing", "critical"),
        ("resolved", "resolved", "critical"),
    ]
    for row in rows:
        assert (row["receiver"], row["route"]) == ("team", "databases")
        assert row["group_key"] == row["dedup_key"] == 'databases:{fields.region="eu"}'
    assert [row["title"] for row in rows] == ["[1 firing] region=eu"] * 2 + ["[1 resolved] region=eu"]


def test_each_end_has_its_reason(table: Table) -> None:
    table.standin.rule("/hook/team", reply={"status": 404, "body": "gone"})
    more = "[[silences]]\nname = 'night'\nmatch = { level = 'info' }\nuntil = 2099-01-01T00:00:00Z\n"
    table.configure(more=more)
    requests(table)
    notify(table, {"receivers": ["team", "onkall"]})
    notify(table, {"receivers": ["oncall"], "level": "info"})
    notify(table, {"receivers": ["oncall"], "senders_config": {"pigeon, post=\\1 ": {}}})
    got = [columns(line) for line in table.history()]
    # Of one request the first end is the first row.
    assert {(row["sender"], row["outcome"], row.get("reason"), row.get("http_status")) for row in got} == {
        ("onkall", "failed", "unknown_receiver", None),
        ("http", "failed", "unknown_destination", 404),
        ("http", "suppressed", "night", None),
        ("pigeon, post=/1 ", "failed", "unknown_sender", None),
        ("http", "delivered", None, 200),
    }
    assert len({line.rpartition(" ")[2] for line in table.history()}) == 5


def test_a_dry_run_is_no_history(table: Table) -> None:
    requests(table)
    assert notify(table, {"receivers": ["oncall"], "dry_run": True}).json["status"] == "success"
    assert table.history() == []


def test_deliveries_that_end_later_are_written_by_the_next_call(table: Table) -> None:
    table.standin.rule("/hook/oncall", delay_ms=100)
    requests(table, response_timeout="0s")
    first = notify(table, {}).json
    assert first["results"] == {"oncall": "pending"}
    assert table.history() == []
    harness.eventually(lambda: [row for row in table.engine.logs("r") if "delivered in" in row["log_text"]])
    notify(table, {"notification_text": "another"})
    [line] = table.history()
    assert columns(line)["task_id"] == first["task_id"]


def test_a_scheduled_call_of_the_same_file_writes_the_history_too(table: Table) -> None:
    table.standin.rule("/hook/oncall", delay_ms=100)
    table.configure('history_table = "notifications"')
    requests(table, response_timeout="0s")
    table.engine.create_trigger("s", spec="every:3600s", arguments={"config_file_path": table.file})
    for number in range(20):
        notify(table, {"notification_text": f"{number}"})
    harness.eventually(lambda: len([row for row in table.engine.logs("r") if "delivered in" in row["log_text"]]) == 20)
    table.engine.run_schedule("s")
    assert len(table.history()) == 20
    assert not [row for row in table.engine.logs("s") if row["log_text"].startswith("notifier")]


def test_rows_of_a_table_have_a_history_too_and_the_history_makes_no_rows(table: Table) -> None:
    table.trigger("all_tables", history_table="notifications")
    table.write('alerts message="a" 1')
    table.wait_for_line("delivered in")
    table.write('alerts message="b" 2')
    table.sent(2)
    first = table.history()[0]

    def summaries() -> int:
        return len([text for _, text in table.lines() if "1 row: " in text])

    harness.eventually(lambda: summaries() == 2, "both batches are logged")
    table.engine.flush()
    table.engine.flush()
    assert summaries() == 2
    assert columns(first)["outcome"] == "delivered"


class WriteFaultLocal(RecordingLocal):
    """An ``influxdb3_local`` whose writes raise ``error``, or take ``delay`` seconds."""

    def __init__(self, error: BaseException | None = None, delay: float = 0.0) -> None:
        super().__init__()
        self.writes = 0
        self.write_error = error
        self.delay = delay

    def write_sync(self, line: object, no_sync: bool) -> None:
        self.writes += 1
        if self.write_error is not None:
            raise self.write_error
        time.sleep(self.delay)
        super().write_sync(line, no_sync)


def deliver(table: Table, engine: WriteFaultLocal, file: str, **arguments: str) -> None:
    given = {"config_file_path": file, "history_table": "notifications", **arguments}
    _, status, *_ = process_request(PLUGIN_API, engine, {}, {}, b'{"notification_text": "x"}', given)
    assert status == 200


@pytest.mark.parametrize("error", [RuntimeError("no ingest\nhere"), PanicException("no runtime")], ids=repr)
def test_a_node_that_refuses_writes_gets_one_warning_and_no_more_rows(table: Table, error: BaseException) -> None:
    file = table.engine.plugin_dir / f"{type(error).__name__}.toml"
    file.write_text((table.path).read_text())
    engine = WriteFaultLocal(error)
    for _ in range(3):
        deliver(table, engine, str(file), dedup_window="0s")
    assert engine.writes == 1
    [warning] = [line for line in engine.lines if "history" in line]
    assert warning.startswith("notifier [-] the history cannot be written, and is off until the server restarts: ")
    assert "\n" not in warning


def test_a_slow_database_holds_up_no_answer(table: Table) -> None:
    file = str(table.path)
    engine, waiting = WriteFaultLocal(delay=0.004), WriteFaultLocal()
    table.standin.rule("/hook/oncall", delay_ms=50)
    for number in range(30):
        given = {"config_file_path": file, "history_table": "notifications", "response_timeout": "0s"}
        body = f'{{"notification_text": "{number}"}}'.encode()
        process_request(PLUGIN_API, waiting, {}, {}, body, given)
    harness.eventually(lambda: len([line for line in waiting.lines if "delivered in" in line]) == 30)
    deliver(table, engine, file, response_timeout="0s", dry_run="true")
    assert 1 <= len(engine.rows) <= 3
    process_scheduled_call(PLUGIN_API, engine, None, {"config_file_path": file})
    assert len(engine.rows) == 30
