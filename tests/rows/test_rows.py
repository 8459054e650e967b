"""Each row that is written to a table becomes a notification."""

import hashlib

import pytest

from influxdb3_notifier import process_writes
from tests.harness import eventually
from tests.recording_local import RecordingLocal
from tests.rows.table import Table

PLUGIN_API = 1

COLUMNS = {
    "level_column": "level",
    "title_column": "title",
    "status_column": "status",
    "dedup_key_column": "id",
    "link_column": "runbook",
    "receivers_column": "to",
}


def test_a_row_is_a_notification_of_its_text_and_its_other_columns_are_fields(table: Table) -> None:
    table.trigger()
    table.write('alerts,host=db1 message="disk full",used=97.5,n=3i,up=true 1700000000000000001')
    [body] = table.sent(1)
    assert body == {
        "message": "disk full",
        "fields": {"host": "db1", "n": 3, "up": True, "used": 97.5},
        "timestamp": "2023-11-14T22:13:20.000000001Z",
    }
    table.wait_for_line("delivered in")
    assert table.lines()[0] == ("INFO", "accepted: 1 delivery")
    assert ("INFO", "alerts: 1 row: 1 notification") in table.lines()


def test_columns_set_the_other_fields_of_a_notification(table: Table) -> None:
    table.trigger(**COLUMNS)
    table.write(
        'alerts,host=db1,level=crit message="m",title="Disk",status="firing",id="d1",runbook="https://w.example/d"'
        ',to="team oncall" 1700000000000000000'
    )
    expected = {
        "message": "m",
        "title": "Disk",
        "level": "critical",
        "status": "firing",
        "fields": {"host": "db1"},
        "link": "https://w.example/d",
        "timestamp": "2023-11-14T22:13:20Z",
        "dedup_key": "d1",
    }
    assert table.sent(1) == [expected]
    assert table.sent(1, "/hook/team") == [expected]
    table.wait_for_line("1 notification")
    assert not [line for line in table.lines() if line[0] != "INFO"]


def test_a_template_makes_the_text(table: Table) -> None:
    more = "[[routes]]\nreceivers = ['oncall']\n[templates.short]\n"
    more += 'text = "{{ data.table }}: {{ notification.fields.host }} at {{ notification.fields.used }} %"\n'
    table.configure('template = "short"', more)
    table.trigger()
    table.write("alerts,host=db1 used=97.5 1")
    assert table.sent(1)[0]["message"] == "alerts: db1 at 97.5 %"
    table.wait_for_line("1 notification")
    assert not [line for line in table.lines() if line[0] != "INFO"]


def test_the_filter_passes_matching_rows(table: Table) -> None:
    table.configure('row_filter = { level = ["critical"], fields = { host = "~^db" } }')
    table.trigger(level_column="level")
    table.write(
        'alerts,host=db1,level=critical message="a" 1',
        'alerts,host=db1,level=info message="b" 2',
        'alerts,host=web,level=critical message="c" 3',
    )
    assert [body["message"] for body in table.sent(1)] == ["a"]
    table.wait_for_line("alerts: 3 rows: 1 notification, 2 filtered out")


def test_the_filter_knows_the_table_and_negations(table: Table) -> None:
    table.configure('row_filter = { table = "alerts", level = "!info", "fields.host" = ["!~^test", "!db9"] }')
    table.trigger("all_tables", level_column="level")
    table.write(
        'alerts,host=db1,level=critical message="a" 1',
        'alerts,host=db1,level=info message="b" 2',
        'alerts,host=test1,level=critical message="c" 3',
        'alerts,host=db9,level=critical message="d" 4',
        'alerts message="no level and no host" 5',
        'cpu,host=db1,level=critical message="e" 6',
    )
    assert sorted(body["message"] for body in table.sent(2)) == ["a", "no level and no host"]
    table.wait_for_line("alerts: 5 rows: 2 notifications, 3 filtered out")


def test_rows_that_are_all_filtered_out_cause_no_log_line(table: Table) -> None:
    table.configure('row_filter = { fields = { host = "db1" } }')
    table.trigger()
    table.write('alerts,host=web message="a" 1')
    table.write('alerts,host=db1 message="b" 2')
    table.sent(1)
    table.wait_for_line("1 row: 1 notification")
    assert len([text for _, text in table.lines() if "row" in text]) == 1


def test_routes_decide_as_for_requests(table: Table) -> None:
    more = '[[routes]]\nmatch = { level = "critical" }\nreceivers = ["oncall"]\n'
    more += '[[routes]]\nmatch = { level = "warning" }\nreceivers = ["team"]\n'
    table.configure(more=more)
    table.trigger(level_column="level")
    table.write(
        'alerts,level=critical message="a" 1',
        'alerts,level=warning message="b" 2',
        'alerts,level=info message="c" 3',
    )
    assert [body["message"] for body in table.sent(1)] == ["a"]
    assert [body["message"] for body in table.sent(1, "/hook/team")] == ["b"]
    table.wait_for_line("alerts: 3 rows: 2 notifications, 1 for nobody")


def test_levels_of_rows_are_read_as_those_of_requests(table: Table) -> None:
    more = '[[routes]]\nmatch = { level = "critical" }\nreceivers = ["oncall"]\n'
    more += '[[routes]]\nmatch = { level = "error" }\nreceivers = ["team"]\n'
    table.configure('level_map = { wichtig = "critical" }\nrow_filter = { level = ["fatal", "error"] }', more)
    table.trigger(level_column="level")
    lines = [f'alerts,level={level} message="{level}"' for level in ["emerg", "P1", "WICHTIG", "3", "debug", "high"]]
    table.write(*(f"{line} {n}" for n, line in enumerate(lines)))
    assert sorted(body["message"] for body in table.sent(3)) == ["P1", "WICHTIG", "emerg"]
    assert sorted(body["message"] for body in table.sent(2, "/hook/team")) == ["3", "high"]
    table.wait_for_line("alerts: 6 rows: 5 notifications, 1 filtered out")


def test_rows_without_a_receiver_get_a_warning(table: Table) -> None:
    table.trigger(name="other", config_file_path="")
    table.write('alerts message="a" 1')
    assert table.wait_for_line("nobody", "other") == ("WARN", "alerts: 1 row: 0 notifications, 1 for nobody")


def test_every_table_except_the_history_is_processed(table: Table) -> None:
    table.trigger("all_tables", history_table="notifications")
    table.write('alerts message="a" 1', 'more message="b" 1', 'notifications message="c" 1')
    assert sorted(body["message"] for body in table.sent(2)) == ["a", "b"]
    table.wait_for_line("more: 1 row")


def test_a_problem_of_many_rows_is_one_warning(table: Table) -> None:
    table.trigger(**COLUMNS | {"title_column": "titel"})
    lines = [f'alerts,level=loud{n} message="m{n}",title="t",status="on",runbook="nowhere" {n}' for n in range(1, 6)]
    table.write(*lines, 'alerts,level=info other="x" 6', 'alerts,level=info message="" 7')
    assert {body["message"] for body in table.sent(7)} >= {"alerts: other=x", "alerts:"}
    table.wait_for_line("7 rows: 7 notifications")
    assert [text for level, text in table.lines() if level == "WARN"] == [
        "alerts: titel: no row has this column; did you mean title? (7 rows)",
        "alerts: id: no row has this column (7 rows)",
        "alerts: to: no row has this column (7 rows)",
        "alerts: level: must be one of ok, info, warning, error, critical, found 'loud1'; error is used (5 rows)",
        "alerts: status: must be one of firing, acknowledged, resolved, found 'on'; left out (5 rows)",
        "alerts: link: must be an http or https URL of at most 2000 bytes; left out (5 rows)",
        "alerts: message: the row has no such column; its fields are the text (1 row)",
        "alerts: message: is blank; the row's fields are the text (1 row)",
    ]


def test_a_text_column_of_another_type_is_converted(table: Table) -> None:
    table.trigger(text_column="used")
    table.write("alerts used=97.5 1", "alerts used=1e300 2")
    assert {body["message"] for body in table.sent(2)} == {"97.5", "1e+300"}
    table.wait_for_line("used: must be a string, found a number; taken as it is written (2 rows)")


def test_an_invalid_row_does_not_affect_the_rest_of_the_batch(table: Table) -> None:
    rows: list[object] = [
        {"message": "x" * 1_048_576, "time": 1},
        {"message": None, "host": "db1", "used": float("nan"), "peak": float("-inf")},
        {"message": "\ud800", "time": "soon", 5: "no name", "list": [1], "bytes": b"b", "big": 2**70, "time2": 2**70},
        None,
        {"message": "last", "time": 2**62},
    ]
    batches: list[object] = [
        {"table_name": "alerts", "rows": rows},
        {"table_name": None, "rows": rows},
        {"table_name": "alerts"},
        {"table_name": "alerts", "rows": {}},
        7,
    ]
    engine = RecordingLocal()
    arguments = {"config_file_path": str(table.path)}
    passed: object
    for passed in (batches, None, {}, [], "no"):
        process_writes(PLUGIN_API, engine, passed, arguments)
    bodies = table.sent(4)
    short = {body["message"]: body.get("fields") for body in bodies if len(body["message"]) < 100}
    assert short == {
        "alerts: host=db1 used=NaN peak=-inf": {"host": "db1", "used": "NaN", "peak": "-inf"},
        "\ufffd\ufffd\ufffd": {"time": "soon", "list": "[1]", "bytes": "b'b'", "big": 2**70, "time2": 2**70},
        "last": None,
    }
    assert [len(body["message"].encode()) for body in bodies if body["message"] not in short] == [65_536]
    eventually(lambda: "4 rows: 4 notifications" in " ".join(engine.lines))
    assert "message: is longer than 65536 bytes, and was cut there (1 row)" in " ".join(engine.lines)


def test_a_large_batch_writes_few_log_lines(table: Table) -> None:
    table.standin.rule("/hook/team", reply={"status": 400, "body": "no"})
    more = (
        '[[routes]]\nmatch = { fields = { host = "bad" } }\nreceivers = ["team"]\n[[routes]]\nreceivers = ["oncall"]\n'
    )
    table.configure(more=more)
    table.trigger()
    table.write(*[f'alerts,host={"bad" if n % 2 else "good"} message="{n}" {n}' for n in range(400)])
    ended = table.wait_for_line("all deliveries have ended")
    assert ended == (
        "INFO",
        "alerts: all deliveries have ended: 200 delivered, 200 failed, 0 ambiguous, 0 suppressed",
    )
    lines = table.lines()
    assert len([text for _, text in lines if "failed after" in text]) == 100
    assert ("ERROR", "and 100 more lines of deliveries of alerts") in lines
    assert len(lines) == 103


def test_equal_rows_in_flight_are_sent_once(table: Table) -> None:
    table.standin.rule("/hook/oncall", delay_ms=300)
    table.trigger()
    row = 'alerts message="a" 1'
    table.write(row)
    table.wait_for_line("1 row: 1 notification")
    table.write(row)
    table.wait_for_line("1 row: 0 notifications, 1 known already")
    table.sent(1)


def test_an_unusable_configuration_is_logged_with_the_number_of_lost_rows(table: Table) -> None:
    table.trigger(max_attempts="many")
    table.write('alerts message="a" 1', 'alerts message="b" 2')
    level, text = table.wait_for_line("max_attempts")
    assert level == "ERROR"
    assert text.startswith("alerts: nobody was notified of 2 rows: The trigger argument max_attempts must be")


def test_rows_of_one_dedup_key_arrive_in_their_order(table: Table) -> None:
    table.trigger(dedup_key_column="id")
    table.write(*[f'alerts,id=k message="{n}" {n}' for n in range(50)])
    assert [body["message"] for body in table.sent(50)] == [str(n) for n in range(50)]


def test_a_long_dedup_key_of_a_row_is_hashed_whole(table: Table) -> None:
    table.trigger(dedup_key_column="id", title_column="title")
    keys = ["k" * 60_000 + end for end in ("a", "b")]
    table.write(*[f'alerts title="t",id="{key}",message="{n}" {n}' for n, key in enumerate(keys)])
    sent = {body["message"]: body["dedup_key"] for body in table.sent(2)}
    assert sent == {str(n): hashlib.sha256(key.encode()).hexdigest() for n, key in enumerate(keys)}
    table.wait_for_line("dedup_key: is longer than 1024 bytes; its SHA-256 is used in its place (2 rows)")


def test_rows_beyond_max_in_flight_do_not_wait_for_their_own_digest(table: Table) -> None:
    table.trigger(max_in_flight="20", max_per_batch="3")
    table.write(*[f'alerts message="{n}" {n}' for n in range(200)])
    table.wait_for_line("all deliveries have ended: 3 delivered, 0 failed, 0 ambiguous, 197 suppressed")
    texts = [body["message"] for body in table.bodies()]
    digests = [int(text.split()[1]) for text in texts if text.startswith("and ")]
    alone = [text for text in texts if not text.startswith("and ")]
    assert len(alone) + sum(digests) == 200


@pytest.mark.parametrize("outbox", [False, True])
def test_the_digest_of_a_batch_is_sent_after_its_messages_and_their_retries(table: Table, outbox: bool) -> None:
    if outbox:
        table.configure('outbox = "digest.db"')
    table.trigger(max_per_batch="2")
    # The first message fails late, and is sent again.
    table.standin.rule("/hook/oncall", delay_ms=300, reply={"status": 503}, times=1)
    table.write(*[f'alerts message="{n}" {n}' for n in range(6)])
    *messages, digest = [body["message"] for body in table.sent(4)]
    assert sorted(messages) in (["0", "0", "1"], ["0", "1", "1"])
    assert digest.startswith("and 4 more in the same batch")


def test_a_row_that_ends_an_emergency_is_never_in_a_digest(table: Table) -> None:
    """An emergency message repeats until it is cancelled, so a digest must not cancel it."""
    url, keys = table.standin.url, f'token = "{"t" * 30}", user = "{"u" * 30}"'
    siren = f'[receivers.siren]\npushover = {{ base_url = "{url}", {keys} }}\n[[routes]]\nreceivers = ["siren"]\n'
    table.configure(more=siren)
    table.trigger(max_per_batch="1", **COLUMNS)

    def row(key: str, status: str) -> str:
        return f'alerts,level=crit,id={key} message="m",status="{status}" {len(key)}'

    table.write(row("cpu", "firing"))
    eventually(lambda: len(table.standin.messages()) == 1, "the emergency sounds")
    table.write(row("disk1", "firing"), row("disk22", "firing"), row("cpu", "resolved"))
    eventually(lambda: len(table.standin.requests("/1/receipts/")) == 1, "the emergency ends")
    [firing, *_] = table.standin.messages()
    [cancelled] = table.standin.requests("/1/receipts/")
    assert cancelled["path"] == f"/1/receipts/cancel_by_tag/{firing['detail']['tags']}.json"
    assert firing["detail"]["priority"] == "2"


def test_rows_beyond_the_limit_arrive_in_the_order_of_their_dedup_key(table: Table) -> None:
    table.configure('outbox = "outbox.db"\nmax_in_flight = 10')
    table.standin.rule("/hook/oncall", delay_ms=5)
    table.synchronous_trigger(dedup_key_column="id")
    for first in range(0, 200, 50):
        table.write(*[f'alerts,id=k{n % 7} message="{n}" {n}' for n in range(first, first + 50)])
    eventually(lambda: len(table.bodies()) >= 200, "all rows", timeout=30)
    sent = [int(body["message"]) for body in table.bodies()]
    assert sorted(sent) == list(range(200))
    for key in range(7):
        of_key = [n for n in sent if n % 7 == key]
        assert of_key == sorted(of_key)
    assert any("left in the outbox" in text for _, text in table.lines())


def test_an_outbox_stores_rows_until_delivery(table: Table) -> None:
    table.configure('outbox = "outbox.db"')
    table.trigger(dedup_key_column="id")
    table.write(*[f'alerts,id=k{n % 7} message="{n}" {n}' for n in range(300)])
    sent = [int(body["message"]) for body in table.sent(300)]
    for key in range(7):
        of_key = [n for n in sent if n % 7 == key]
        assert of_key == sorted(of_key)
    table.wait_for_line("300 delivered")
