"""The engine host takes writes and runs write triggers as InfluxDB 3 does."""

import gzip
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.engine_host.host import EngineHost
from tests.engine_host.text_plugins import BLOCK, TextPluginHost
from tests.engine_host.workers import CHANNEL_PLACES, WriteWorker
from tests.harness import eventually

NOTE = "import engine_host_meeting as meeting; meeting.notes.append(table_batches)"


def write_and_flush(host: TextPluginHost, lines: str) -> None:
    """Write ``lines`` and flush them."""
    assert host.write(lines).status == 204
    host.engine.flush()


def rows(host: TextPluginHost, count: int) -> list[Any]:
    """Wait for ``count`` notes of the plugins, and return them."""
    eventually(lambda: len(host.notes) >= count)
    return host.notes


# Arguments of a write trigger


def test_a_flush_is_one_call_with_tags_and_fields_together_and_no_keys_for_absent_columns(host: TextPluginHost) -> None:
    host.plugin(NOTE, spec="all_tables")
    host.write("cpu,host=a usage=1.5,n=3i,ok=t 1700000000000000000")
    host.write('cpu,host=b usage=2 1700000000000000001\nmem free=7u,s="x y" 1700000000000000002')
    host.engine.flush()
    assert rows(host, 1) == [
        [
            {
                "table_name": "cpu",
                "rows": [
                    {"host": "a", "usage": 1.5, "n": 3, "ok": True, "time": 1700000000000000000},
                    {"host": "b", "usage": 2.0, "time": 1700000000000000001},
                ],
            },
            {"table_name": "mem", "rows": [{"free": 7, "s": "x y", "time": 1700000000000000002}]},
        ]
    ]
    first = host.notes[0][0]["rows"][0]
    assert [type(value) for value in first.values()] == [str, float, int, bool, int]
    assert list(first)[-1] == "time"


def test_no_rows_cause_no_call(host: TextPluginHost) -> None:
    host.plugin(NOTE, spec="all_tables")
    host.engine.flush()
    write_and_flush(host, "m n=1 1")
    host.engine.flush()
    assert rows(host, 1) == [[{"table_name": "m", "rows": [{"n": 1.0, "time": 1_000_000_000}]}]]
    assert len(host.texts()) == 2


def test_a_trigger_of_one_table_gets_only_its_rows_and_an_empty_list_for_other_tables(
    host: TextPluginHost,
) -> None:
    host.write("m n=1 1")
    host.plugin(NOTE, spec="table:m")
    write_and_flush(host, "other n=2 2")
    eventually(lambda: len(host.notes) == 1)
    write_and_flush(host, "other n=3 3")
    assert rows(host, 2) == [[{"table_name": "m", "rows": [{"n": 1.0, "time": 1_000_000_000}]}], []]


def test_writes_to_another_database_do_not_call_the_trigger(host: TextPluginHost) -> None:
    host.plugin(NOTE, spec="all_tables")
    assert host.http("POST", "/api/v3/write_lp?db=other&no_sync=true", body=b"m n=1 1").status == 204
    host.engine.flush()
    write_and_flush(host, "m n=2 2")
    assert len(rows(host, 1)) == 1
    assert [database for database, _ in host.engine.database.lines] == ["other", "notifications"]


@pytest.mark.parametrize(
    "write",
    ["write_sync(line, no_sync=True)", "write_sync(line, no_sync=False)", "write(line)"],
)
def test_rows_that_a_plugin_writes_reach_write_triggers(host: TextPluginHost, write: str) -> None:
    host.plugin(NOTE, "watcher", "all_tables")
    host.plugin(
        f"line = LineBuilder('m').tag('a', 'b').int64_field('n', 1).time_ns(5)\ninfluxdb3_local.{write}\nreturn {{}}"
    )
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(host.send)
        while not reply.done():
            host.engine.flush()
        assert reply.result().status == 200
    host.engine.flush()
    assert rows(host, 1) == [[{"table_name": "m", "rows": [{"a": "b", "n": 1, "time": 5}]}]]


@pytest.mark.parametrize(("given", "seen"), [(None, None), ({}, None), ({"a": "1,2"}, {"a": "1,2"})])
def test_args_of_a_write_trigger_are_none_when_there_are_none(
    host: TextPluginHost, given: dict[str, str] | None, seen: object
) -> None:
    host.plugin("import engine_host_meeting as meeting; meeting.notes.append(args)", spec="all_tables", arguments=given)
    write_and_flush(host, "m n=1")
    assert rows(host, 1) == [seen]


def test_the_engines_rows_stand_around_a_call(host: TextPluginHost) -> None:
    host.plugin("influxdb3_local.info('hello')", spec="all_tables")
    write_and_flush(host, "m n=1")
    eventually(lambda: len(host.texts()) == 3)
    assert host.texts()[:2] == ["starting execution of wal plugin.", "hello"]
    assert host.texts()[2].startswith("finished execution in ")


def test_changes_of_a_plugin_to_the_rows_are_invisible_to_other_triggers(host: TextPluginHost) -> None:
    host.plugin(f"table_batches[0]['rows'][0].clear()\n{NOTE}", "a", "all_tables")
    host.plugin(NOTE, "b", "all_tables")
    write_and_flush(host, "m n=1 1")
    assert [{"table_name": "m", "rows": [{"n": 1.0, "time": 1_000_000_000}]}] in rows(host, 2)


# The endpoint


@pytest.mark.parametrize(
    ("precision", "timestamp", "nanoseconds"),
    [
        ("", 1_700_000_000, 1_700_000_000 * 10**9),
        ("auto", 1_700_000_000_123, 1_700_000_000_123 * 10**6),
        ("auto", 1_700_000_000_123_456, 1_700_000_000_123_456 * 10**3),
        ("auto", 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        ("auto", -1, -(10**9)),
        ("second", 1, 10**9),
        ("s", 1, 10**9),
        ("millisecond", 1, 10**6),
        ("ms", 1, 10**6),
        ("microsecond", 1, 10**3),
        ("us", 1, 10**3),
        ("nanosecond", 1, 1),
        ("ns", 1, 1),
    ],
)
def test_a_timestamp_has_the_given_or_guessed_precision(
    host: TextPluginHost, precision: str, timestamp: int, nanoseconds: int
) -> None:
    host.plugin(NOTE, spec="all_tables")
    assert host.write(f"m n=1 {timestamp}", f"&precision={precision}" if precision else "").status == 204
    host.engine.flush()
    assert rows(host, 1)[0][0]["rows"][0]["time"] == nanoseconds


@pytest.mark.parametrize(("precision", "unit"), [("auto", 1), ("second", 10**9), ("ms", 10**6)])
def test_a_line_without_timestamp_gets_the_current_time_in_the_precision(
    host: TextPluginHost, precision: str, unit: int
) -> None:
    host.plugin(NOTE, spec="all_tables")
    before = time.time_ns() // unit * unit
    host.write("m n=1", f"&precision={precision}")
    host.engine.flush()
    moment = rows(host, 1)[0][0]["rows"][0]["time"]
    assert before <= moment <= time.time_ns()
    assert moment % unit == 0


def test_a_write_waits_for_the_flush_without_no_sync(host: TextPluginHost) -> None:
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(host.http, "POST", "/api/v3/write_lp?db=notifications", body=b"m n=1")
        eventually(lambda: host.engine.database.lines == [("notifications", "m n=1")])
        assert host.write("m n=2").status == 204
        with pytest.raises(TimeoutError):
            reply.result(0.1)
        host.engine.flush()
        response = reply.result(5)
    assert (response.status, response.text) == (204, "")


def test_a_flush_that_waits_ends_with_the_server_and_releases_writers(tmp_path: Path) -> None:
    host = TextPluginHost(EngineHost(tmp_path, flush_interval=3600).start())
    with ThreadPoolExecutor(2) as pool:
        try:
            host.plugin(BLOCK, spec="all_tables", asynchronous=False)
            host.plugin(
                """
                import engine_host_meeting as meeting
                influxdb3_local.write_sync(LineBuilder("m").int64_field("n", 1), False)
                meeting.notes.append("written")
                """,
                "writer",
            )
            write_and_flush(host, "m n=1i")
            assert host.entered.acquire(timeout=5)
            for number in range(CHANNEL_PLACES):
                write_and_flush(host, f"m n={number}i")
            pool.submit(host.send, "writer")
            eventually(lambda: len(host.engine.database.lines) == CHANNEL_PLACES + 2)
            pool.submit(host.engine.flush)
            eventually(lambda: host.engine._engine_lock.locked())
        finally:
            host.engine.stop()
        host.gate.set()
        assert rows(host, 1) == ["written"]


def test_gzip_is_inflated(host: TextPluginHost) -> None:
    assert host.write(gzip.compress(b"m n=1"), headers=[("Content-Encoding", "gzip")]).status == 204
    assert host.engine.database.lines == [("notifications", "m n=1")]


def test_invalid_lines_are_left_out_and_named_in_a_400(host: TextPluginHost) -> None:
    reply = host.write('# comment\nm n=1 1\nm n=\nm n=2i\n\nm s="a b" 4')
    assert reply.status == 400
    assert reply.json == {
        "error": "partial write of line protocol occurred",
        "data": [
            {"original_line": "m n=", "line_number": 2, "error_message": "No fields were provided"},
            {
                "original_line": "m n=2i",
                "line_number": 3,
                "error_message": "invalid column type for column 'n', "
                "expected iox::column_type::field::float, got iox::column_type::field::integer",
            },
        ],
    }
    assert [line for _, line in host.engine.database.lines] == ["m n=1 1", 'm s="a b" 4']


def test_without_partial_writes_one_invalid_line_refuses_all(host: TextPluginHost) -> None:
    reply = host.write("m n=1\nm n=", "&accept_partial=false")
    assert (reply.status, reply.json) == (
        400,
        {
            "error": "parsing failed for write_lp endpoint",
            "data": {"original_line": "m n=", "line_number": 2, "error_message": "No fields were provided"},
        },
    )
    assert host.engine.database.lines == []
    # Nor has the table come to be, with a column of that kind.
    assert host.write("m n=1i").status == 204


def test_a_column_keeps_its_type_and_time_is_a_column(host: TextPluginHost) -> None:
    host.write("m,a=b n=1i")
    for line in ("m n=1", "m a=1", "m n=t", 'm n="1"', "m time=1", "m,time=1 n=1i"):
        assert "invalid column type for column" in host.write(line).text
    assert host.write("m,a=c n=2i,more=1").status == 204
    assert host.write("other n=1").status == 204


@pytest.mark.parametrize(
    ("path", "body", "status", "part"),
    [
        ("?db=d&no_sync=true", b"", 400, "incoming write was empty"),
        ("?db=d&no_sync=true", b"# comment\n", 400, "incoming write was empty"),
        ("?no_sync=true", b"m n=1", 400, "missing query parameter: db"),
        ("?db=d&no_sync=true&precision=h", b"m n=1", 400, "unrecognized precision unit: h"),
        ("?db=d&no_sync=yes", b"m n=1", 400, "no_sync"),
        ("?db=d&no_sync=true&accept_partial=1", b"m n=1", 400, "accept_partial"),
        ("?db=d&no_sync=true", b'm s="\xff"', 400, "not valid utf8"),
        ("?db=d&no_sync=true", bytes(10 * 1024 * 1024 + 1), 413, "max request size"),
        ("?db=d&no_sync=true&precision=s", b"m n=1 9223372036854775807", 400, "out of range for precision"),
    ],
)
def test_an_invalid_write_is_refused(host: TextPluginHost, path: str, body: bytes, status: int, part: str) -> None:
    reply = host.http("POST", f"/api/v3/write_lp{path}", body=body)
    assert reply.status == status
    assert part in reply.text
    assert host.engine.database.lines == []


# One after the other, or all at once


@pytest.mark.parametrize(("asynchronous", "together"), [(True, 3), (False, 1)])
def test_flushes_run_one_after_the_other_unless_the_trigger_is_asynchronous(
    host: TextPluginHost, asynchronous: bool, together: int
) -> None:
    host.plugin(BLOCK, spec="all_tables", asynchronous=asynchronous)
    for number in range(3):
        write_and_flush(host, f"m n={number}")
    for _ in range(together):
        assert host.entered.acquire(timeout=5)
    assert not host.entered.acquire(timeout=0.1)
    host.gate.set()
    eventually(lambda: sum(text.startswith("finished") for text in host.texts()) == 3)


def test_a_full_channel_of_a_synchronous_write_trigger_holds_up_writes_and_every_other_trigger(
    host: TextPluginHost,
) -> None:
    host.plugin(BLOCK, "slow", "all_tables", asynchronous=False)
    host.plugin("return {}", "other")
    with ThreadPoolExecutor(2) as pool:
        # One runs, sixty wait in the channel: the engine is still free.
        for number in range(1 + CHANNEL_PLACES):
            write_and_flush(host, f"m n={number}")
            if number == 0:
                assert host.entered.acquire(timeout=5)
        slow = host.engine._workers["slow"]
        assert isinstance(slow, WriteWorker)
        assert slow.channel.full()
        assert host.send("other").status == 200
        # A flush of nothing needs no place.
        pool.submit(host.engine.flush).result(5)
        # One more waits for a place, with the lock that everybody needs.
        host.write("m n=0")
        flush = pool.submit(host.engine.flush)
        eventually(lambda: host.engine._engine_lock.locked())
        other = pool.submit(host.send, "other")
        with pytest.raises(TimeoutError):
            other.result(0.1)
        assert not flush.done()
        host.gate.set()
        flush.result(5)
        assert other.result(5).status == 200


@pytest.mark.parametrize("asynchronous", [True, False])
def test_disabling_waits_for_the_call_of_a_synchronous_write_trigger_alone(
    host: TextPluginHost, asynchronous: bool
) -> None:
    host.plugin(BLOCK + "influxdb3_local.info('went on')", spec="all_tables", asynchronous=asynchronous)
    host.plugin("return {}", "other")
    write_and_flush(host, "m n=1")
    assert host.entered.acquire(timeout=5)
    with ThreadPoolExecutor(1) as pool:
        disabled = pool.submit(host.engine.disable, "t")
        assert host.send("other").status == 200
        if asynchronous:
            disabled.result(5)
        else:
            with pytest.raises(TimeoutError):
                disabled.result(0.1)
        host.gate.set()
        disabled.result(5)
    eventually(lambda: "went on" in host.texts())
    write_and_flush(host, "m n=2")
    assert host.texts().count("starting execution of wal plugin.") == 1
    host.engine.enable("t")
    write_and_flush(host, "m n=3")
    eventually(lambda: host.texts().count("went on") == 2)


# After an exception


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize(
    ("raised", "error"),
    [
        ("ValueError('boom')", "ValueError: boom"),
        ("type('PanicException', (BaseException,), {})('index')", "PanicException: index"),
        ("SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_an_exception_is_logged_and_the_trigger_goes_on(
    host: TextPluginHost, asynchronous: bool, raised: str, error: str
) -> None:
    host.plugin(
        f"influxdb3_local.write(LineBuilder('m').int64_field('lost', 1))\nraise {raised}",
        spec="all_tables",
        asynchronous=asynchronous,
    )
    for count in (1, 2):
        write_and_flush(host, "m n=1")
        eventually(lambda count=count: host.errors() == [f"error executing wal plugin: {error}"] * count)  # type: ignore[misc]
    assert not any(text.startswith("finished") for text in host.texts())
    assert len(host.engine.database.lines) == 2


def test_a_plugin_without_the_function_is_an_error_in_the_log(host: TextPluginHost) -> None:
    host.plugin("pass", spec="all_tables")
    (host.engine.plugin_dir / "t.py").write_text("")
    write_and_flush(host, "m n=1")
    eventually(lambda: len(host.errors()) == 1)
    assert host.errors()[0] == (
        "error executing wal plugin: the process_writes function is not present in the plugin. "
        "Should be defined as: process_writes(influxdb3_local, table_batches, args=None)"
    )


RAISE_WHILE_CLOSED = """
import engine_host_meeting as meeting
meeting.notes.append(table_batches)
meeting.entered.release()
if not meeting.gate.is_set(): raise ValueError
influxdb3_local.info("done")
"""


@pytest.mark.parametrize("asynchronous", [True, False])
def test_retry_repeats_the_same_batch_without_pause_with_the_old_file(host: TextPluginHost, asynchronous: bool) -> None:
    host.plugin(RAISE_WHILE_CLOSED, spec="all_tables", error_behavior="retry", asynchronous=asynchronous)
    write_and_flush(host, "m n=1 1")
    for _ in range(5):
        assert host.entered.acquire(timeout=5)
    host.write_plugin("influxdb3_local.info('mended')", "t", "all_tables")
    for _ in range(5):
        assert host.entered.acquire(timeout=5)
    host.gate.set()
    eventually(lambda: "done" in host.texts())
    assert host.notes == [[{"table_name": "m", "rows": [{"n": 1.0, "time": 1_000_000_000}]}]] * len(host.notes)
    # None of the failures is in the log, but for the row with which each call begins.
    assert host.texts().count("starting execution of wal plugin.") == len(host.notes)
    assert host.errors() == []
    write_and_flush(host, "m n=2 2")
    eventually(lambda: "mended" in host.texts())


def test_a_write_trigger_that_retries_cannot_be_stopped(host: TextPluginHost) -> None:
    host.plugin(RAISE_WHILE_CLOSED, spec="all_tables", error_behavior="retry", asynchronous=False)
    write_and_flush(host, "m n=1")
    with ThreadPoolExecutor(1) as pool:
        disabled = pool.submit(host.engine.disable, "t")
        for _ in range(20):
            assert host.entered.acquire(timeout=5)
        assert not disabled.done()
        host.gate.set()
        disabled.result(5)


@pytest.mark.parametrize("asynchronous", [True, False])
def test_an_exception_disables_a_trigger_with_error_behavior_disable_without_a_log_line(
    host: TextPluginHost, asynchronous: bool
) -> None:
    host.plugin(f"{NOTE}\nraise ValueError", spec="all_tables", error_behavior="disable", asynchronous=asynchronous)
    write_and_flush(host, "m n=1")
    eventually(lambda: "t" not in host.engine._workers)
    write_and_flush(host, "m n=2")
    host.engine.enable("t")
    write_and_flush(host, "m n=3 3")
    assert rows(host, 2)[1] == [{"table_name": "m", "rows": [{"n": 3.0, "time": 3_000_000_000}]}]
    assert host.errors() == []


def test_flushes_that_wait_behind_the_call_that_disabled_its_trigger_are_skipped(host: TextPluginHost) -> None:
    host.plugin(BLOCK + "raise ValueError", spec="all_tables", error_behavior="disable", asynchronous=False)
    for number in range(3):
        write_and_flush(host, f"m n={number}")
    assert host.entered.acquire(timeout=5)
    host.gate.set()
    # Disabling goes through the channel: it is over when that is empty.
    worker = host.engine._workers["t"]
    eventually(lambda: worker.task.done())
    assert host.texts() == ["starting execution of wal plugin."]


def test_a_synchronous_trigger_of_a_missing_table_stops_silently_at_the_first_other_flush(
    host: TextPluginHost,
) -> None:
    host.plugin(NOTE, "sync", "table:late", asynchronous=False)
    host.plugin(NOTE, "async", "table:late")
    write_and_flush(host, "other n=1")
    eventually(lambda: host.engine._workers["sync"].task.done())
    # The asynchronous trigger still works. Neither has a log row, and nothing waits for the stopped one.
    for number in range(CHANNEL_PLACES + 1):
        write_and_flush(host, f"other n={number}")
    write_and_flush(host, "late n=1 1")
    assert rows(host, 1) == [[{"table_name": "late", "rows": [{"n": 1.0, "time": 1_000_000_000}]}]]
    assert host.texts("sync") == []
    assert host.errors("async") == []
    host.engine.disable("sync")
    host.engine.enable("sync")
    write_and_flush(host, "late n=2 2")
    eventually(lambda: len(host.notes) == 3)
