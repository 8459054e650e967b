"""``influxdb3_local`` behaves as the engine's, also on other threads."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engine_host.host import EngineHost
from tests.engine_host.local import PanicException
from tests.engine_host.text_plugins import TextPluginHost
from tests.harness import eventually


def test_log_lines_join_their_arguments_and_stand_between_the_engines_own_two_rows(host: TextPluginHost) -> None:
    host.plugin("influxdb3_local.info('a', 1, None); influxdb3_local.warn('w'); influxdb3_local.error(); return {}")
    host.send()
    rows = host.engine.logs("t")
    assert [(row["log_level"], row["log_text"]) for row in rows[:-1]] == [
        ("INFO", "starting execution of request plugin."),
        ("INFO", "a 1 None"),
        ("WARN", "w"),
        ("ERROR", ""),
    ]
    assert rows[-1]["log_text"].startswith("finished execution in ")
    assert set(rows[0]) == {"event_time", "trigger_name", "log_level", "log_text"}


def test_log_lines_come_from_any_thread_also_after_the_trigger_was_deleted(host: TextPluginHost) -> None:
    host.plugin("import engine_host_meeting as meeting; meeting.notes.append(influxdb3_local); return {}")
    host.send()
    host.engine.delete_trigger("t")
    host.notes[0].info("late")
    assert host.texts()[-1] == "late"


def test_the_cache_is_used_from_any_thread_also_after_the_call(host: TextPluginHost) -> None:
    host.plugin("import engine_host_meeting as meeting; meeting.notes.append(influxdb3_local); return {}")
    host.send()
    cache = host.notes[0].cache
    cache.put("key", "late")
    assert (cache.get("key"), cache.delete("key"), cache.get("key")) == ("late", True, None)


def test_the_log_is_a_ring_of_ten_thousand_rows_for_all_triggers(host: TextPluginHost) -> None:
    host.plugin("for n in range(10_000): influxdb3_local.info(n)\nreturn {}", "a")
    host.plugin("return {}", "b")
    host.send("a")
    host.send("b")
    assert len(host.engine.logs()) == 10_000
    assert host.engine.logs()[0]["log_text"] == "3"


@pytest.mark.parametrize(
    "call",
    [
        "query('SELECT 1')",
        "write_sync(LineBuilder('m').int64_field('n', 1), True)",
        "write_sync_to_db('d', LineBuilder('m').int64_field('n', 1), False)",
    ],
)
def test_queries_and_writes_that_wait_panic_on_another_thread_and_after_the_call(
    host: TextPluginHost, call: str
) -> None:
    host.plugin(
        f"""
        import threading, engine_host_meeting as meeting
        def work():
            try:
                influxdb3_local.{call}
            except Exception as error:
                meeting.notes.append("caught as Exception")
            except BaseException as error:
                meeting.notes.append(type(error).__name__)
        thread = threading.Thread(target=work); thread.start(); thread.join()
        influxdb3_local.{call}
        meeting.notes.append(work)
        return {{}}
        """
    )
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(host.send)
        while not reply.done():
            host.engine.flush()
        assert reply.result().status == 200
    host.notes[1]()
    assert host.notes == ["PanicException", host.notes[1], "PanicException"]
    assert not issubclass(PanicException, Exception)


def test_a_query_returns_rows_for_the_triggers_database_unless_another_is_named(host: TextPluginHost) -> None:
    host.plugin("return influxdb3_local.query('Q', {'a': 'b'}) + influxdb3_local.query('Q', database='other')")
    assert host.send().json == [{"asked": ["Q", {"a": "b"}, "notifications"]}, {"asked": ["Q", {}, "other"]}]


def test_the_cache_belongs_to_one_trigger_unless_global_and_entries_expire(host: TextPluginHost) -> None:
    body = """
    cache = influxdb3_local.cache
    seen = [cache.get("own"), cache.get("shared", "default", True), cache.get("brief")]
    cache.put("own", 1); cache.put("shared", 2, None, True); cache.put("brief", 3, 0.0)
    return seen + [cache.get("own"), cache.delete("absent")]
    """
    host.plugin(body, "a")
    host.plugin(body, "b")
    assert host.send("a").json == [None, "default", None, 1, False]
    assert host.send("a").json == [1, 2, None, 1, False]
    assert host.send("b").json == [None, 2, None, 1, False]


def test_collected_writes_delay_the_response_until_the_flush(host: TextPluginHost) -> None:
    host.plugin("if request_body: influxdb3_local.write(LineBuilder('m').int64_field('n', 1))\nreturn {}")
    assert host.send(body=b"").status == 200
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(host.send, body=b"x")
        eventually(lambda: host.engine.database.lines == [("notifications", "m n=1i")])
        with pytest.raises(TimeoutError):
            reply.result(0.1)
        host.engine.flush()
        assert reply.result(5).status == 200


def test_collected_writes_of_a_call_that_raises_are_lost(host: TextPluginHost) -> None:
    host.plugin("influxdb3_local.write(LineBuilder('m').int64_field('n', 1))\nraise ValueError('boom')")
    assert host.send().status == 500
    assert host.engine.database.lines == []


def test_collected_writes_with_invalid_lines_are_an_error_in_the_log(host: TextPluginHost) -> None:
    host.plugin("influxdb3_local.write_to_db('d', type('Line', (), {'build': lambda _: 'm'})())\nreturn {}")
    assert host.send().status == 200
    assert host.errors() == [
        "error running request plugin: error writing back lines to d: parsing for line protocol failed"
    ]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("m", "parsing for line protocol failed"),
        ("m n=2.0", "parsing for line protocol failed"),
        ("", "incoming write was empty"),
    ],
)
def test_write_sync_raises_at_once_for_an_invalid_line_or_a_wrong_column_type(
    host: TextPluginHost, line: str, error: str
) -> None:
    host.plugin(
        """
        influxdb3_local.write_sync(LineBuilder("m").int64_field("n", 1), no_sync=True)
        try:
            influxdb3_local.write_sync(type("Line", (), {"build": lambda _: request_body.decode()})(), no_sync=True)
        except Exception as error:
            return [str(error)]
        """
    )
    assert host.send(body=line.encode()).json == [f"error writing line protocol to notifications: {error}"]
    assert host.engine.database.lines == [("notifications", "m n=1i")]


def test_the_flush_comes_by_itself_within_its_interval(tmp_path: Path) -> None:
    with EngineHost(tmp_path, flush_interval=0.05) as engine:
        host = TextPluginHost(engine)
        assert 0 < engine.database.until_flush() <= 0.05
        host.plugin("influxdb3_local.write_sync(LineBuilder('m').int64_field('n', 1), False)\nreturn {}")
        assert host.send().status == 200


def test_an_interval_without_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="flush_interval is 0"):
        EngineHost(tmp_path, flush_interval=0)


def test_a_write_that_waits_ends_with_the_server(tmp_path: Path) -> None:
    host = TextPluginHost(EngineHost(tmp_path, flush_interval=3600).start())
    with ThreadPoolExecutor(1) as pool:
        try:
            host.plugin(
                """
                import engine_host_meeting as meeting
                influxdb3_local.write_sync(LineBuilder("m").int64_field("n", 1), False)
                meeting.entered.release()
                """
            )
            pool.submit(host.send)
            eventually(lambda: host.engine.database.lines != [])
        finally:
            host.engine.stop()
        assert host.entered.acquire(timeout=5)
    assert host.engine.database.write("d", "m n=1").flushed.done()


def test_collected_writes_from_another_thread_or_after_the_call_are_lost(host: TextPluginHost) -> None:
    host.plugin(
        """
        import threading, engine_host_meeting as meeting
        def work(): influxdb3_local.write_to_db("d", LineBuilder("m").int64_field("n", 1))
        thread = threading.Thread(target=work); thread.start(); thread.join()
        meeting.notes.append(work)
        return {}
        """
    )
    host.send()
    host.notes[0]()
    host.send()
    assert host.engine.database.lines == []


def test_write_sync_waits_for_the_flush_only_when_asked_to(host: TextPluginHost) -> None:
    host.plugin(
        """
        line = LineBuilder("m").int64_field("n", 1)
        if request_body:
            influxdb3_local.write_sync(line, False)
        else:
            influxdb3_local.write_sync(line, no_sync=True)
            influxdb3_local.write_sync_to_db("d", line, True)
        return {}
        """
    )
    assert host.send(body=b"").status == 200
    assert [database for database, _ in host.engine.database.lines] == ["notifications", "d"]
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(host.send, body=b"x")
        eventually(lambda: len(host.engine.database.lines) == 3)
        with pytest.raises(TimeoutError):
            reply.result(0.1)
        host.engine.flush()
        assert reply.result(5).status == 200
