"""The engine host does what InfluxDB 3 does with a plugin: one test a behaviour, with tiny plugins."""

import gzip
import http.client
import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import harness
from tests.engine_host import EngineHost, PanicException, parse_trigger_arguments
from tests.engine_host.workers import CHANNEL_PLACES, RequestWorker
from tests.engine_host_scene import BLOCK, HEADS, Host, eventually
from tests.faults.process import ProcessEngine

ROOT = Path(__file__).parent.parent
HEAD = HEADS["request"]


# How a plugin is loaded


def test_the_source_is_read_and_executed_anew_at_each_call(host: Host) -> None:
    host.plugin("count = globals().setdefault('count', 0)\nglobals()['count'] += 1\nreturn [count]")
    assert [host.send().json(), host.send().json()] == [[0], [0]]
    (host.engine.plugin_dir / "t.py").write_text(HEAD + "    return ['other']")
    assert host.send().json() == ["other"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("__name__", "builtins"),
        ("'__file__' in globals()", False),
        ("sorted(globals())", ["__builtins__", "process_request"]),
        (
            "LineBuilder('m').tag('a b'.replace(' ', ''), 'x y').int64_field('n', 1).time_ns(5).build()",
            "m,ab=x\\ y n=1i 5",
        ),
        ("__import__('threading').current_thread() is __import__('threading').main_thread()", False),
    ],
)
def test_a_plugin_sees_the_globals_of_an_embedded_interpreter(host: Host, expression: str, value: object) -> None:
    host.plugin(f"return [{expression}]")
    assert host.send().json() == [value]


def test_the_plugin_directory_is_not_importable(host: Host) -> None:
    (host.engine.plugin_dir / "neighbour.py").write_text("")
    host.plugin("import neighbour")
    assert host.send().json() == {
        "error": "Python function call failed: ModuleNotFoundError: No module named 'neighbour'"
    }


def test_the_virtual_environment_is_named_after_the_plugin_directory(host: Host) -> None:
    host.plugin("import os; return [os.environ['VIRTUAL_ENV']]")
    assert host.send().json() == [str(host.engine.plugin_dir / ".venv")]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def", "SyntaxError: invalid syntax (<string>, line 1)"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("x = 1", "the process_request function is not present in the plugin"),
    ],
)
def test_a_source_that_does_not_load_is_a_500(host: Host, source: str, error: str) -> None:
    host.plugin("return {}")
    (host.engine.plugin_dir / "t.py").write_text(source)
    reply = host.send()
    assert reply.status == 500
    assert reply.json()["error"].startswith(error)  # type: ignore[index]


def test_only_the_existence_of_the_file_is_checked_when_a_trigger_is_created(host: Host) -> None:
    (host.engine.plugin_dir / "broken.py").write_text("def")
    host.engine.create_trigger("broken", path="broken.py", spec="request:broken")
    with pytest.raises(FileNotFoundError):
        host.engine.create_trigger("absent", path="absent.py")


# What the engine makes of a return value

HTML, JSON, TEXT = "text/html", "application/json", "text/plain"


@pytest.mark.parametrize(
    ("value", "status", "body", "content_types"),
    [
        ("{'a': 'é'}", 200, '{"a": "\\u00e9"}', [JSON]),
        ("[1, 2.5, True, None]", 200, "[1, 2.5, true, null]", [JSON]),
        ("({'a': 1}, 202)", 202, '{"a": 1}', [JSON]),
        ("({'a': 1}, 202, {'X-A': 'b'})", 202, '{"a": 1}', [JSON]),
        ("({'a': 1}, {'X-A': 'b'})", 200, '{"a": 1}', [JSON]),
        ("({'a': 1},)", 200, '{"a": 1}', [JSON]),
        ("'<p>'", 200, "<p>", [HTML]),
        ("('a', 201)", 201, "a", [HTML]),
        ("('a', 200, {'Content-Type': 'text/plain'})", 200, "a", [TEXT]),
        ("('a', 200, {'content-type': 'text/plain'})", 200, "a", [HTML, TEXT]),
        ("(b'x', 200)", 200, "b'x'", [TEXT]),
        ("b'x'", 200, "", [HTML]),
        ("(None, 200)", 200, "None", [TEXT]),
        ("{'n': float('nan')}", 200, '{"n": NaN}', [JSON]),
        ("('a', 42)", 500, "a", [HTML]),
        ("('a', True)", 500, "a", [HTML]),
        ("iter(['a', b'b', 3])", 200, "ab", [HTML]),
        ("None", 500, '{"error": "Unsupported return type from Python function"}', []),
        ("7", 500, '{"error": "Unsupported return type from Python function"}', []),
        ("({}, 200, 'x')", 500, '{"error": "expected a dictionary in header item"}', []),
        ("({}, 200, {'X-A': 1})", 500, """{"error": "TypeError: 'int' object is not an instance of 'str'"}""", []),
        ("{1, 2} and {'a': {1}}", 500, '{"error": "TypeError: Object of type set is not JSON serializable"}', []),
    ],
)
def test_a_return_value_is_read_by_flasks_rules_with_the_engines_oddities(
    host: Host, value: str, status: int, body: str, content_types: list[str]
) -> None:
    host.plugin(f"return {value}")
    reply = host.send()
    assert (reply.status, reply.text, reply.header("Content-Type")) == (status, body, content_types)


@pytest.mark.parametrize(
    ("value", "sent"), [("plain", "plain"), ("a\r\nb", ""), ("a\nb", ""), ("é", ""), ("a\tb", "a\tb")]
)
def test_a_header_value_with_a_line_break_comes_out_empty(host: Host, value: str, sent: str) -> None:
    host.plugin(f"return 'a', 200, {{'X-A': {value!r}}}")
    assert host.send().header("X-A") == [sent]


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        ("ValueError('boom')", "ValueError: boom"),
        ("type('PanicException', (BaseException,), {})('index out of bounds')", "PanicException: index out of bounds"),
        ("SystemExit(3)", "SystemExit: 3"),
        ("KeyboardInterrupt()", "KeyboardInterrupt: "),
    ],
)
def test_whatever_is_raised_becomes_a_500_and_the_trigger_goes_on(host: Host, raised: str, error: str) -> None:
    host.plugin(f"if request_body: raise {raised}\nreturn {{}}")
    reply = host.send(body=b"x")
    assert (reply.status, reply.json()) == (500, {"error": f"Python function call failed: {error}"})
    assert host.send().status == 200
    assert f"error running request plugin: Python function call failed: {error}" in host.texts()


# What a plugin sees of a request

ECHO = "return {'query': query_parameters, 'headers': request_headers, 'body': repr(request_body), 'args': args}"


def test_headers_are_lower_cased_the_last_wins_and_only_authorization_is_filtered(host: Host) -> None:
    host.plugin(ECHO)
    reply = host.send(
        headers=[
            ("Authorization", "Bearer t"),
            ("Cookie", "c=1"),
            ("X-API-Key", "k"),
            ("X-Twice", "1"),
            ("x-twice", "2"),
        ]
    )
    headers = reply.json()["headers"]  # type: ignore[index]
    assert "authorization" not in headers
    assert (headers["cookie"], headers["x-api-key"], headers["x-twice"]) == ("c=1", "k", "2")


@pytest.mark.parametrize(
    ("query", "seen"),
    [("", {}), ("a=1&a=2", {"a": "2"}), ("a=b+c%20d&e", {"a": "b c d", "e": ""}), ("a=%C3%A9", {"a": "é"})],
)
def test_query_parameters_are_a_dict_of_str_where_the_last_wins(host: Host, query: str, seen: object) -> None:
    host.plugin(ECHO)
    assert host.send(f"t?{query}").json()["query"] == seen  # type: ignore[index]


def test_a_body_is_bytes_and_empty_when_there_is_none(host: Host) -> None:
    host.plugin(ECHO)
    assert host.send(method="GET").json()["body"] == "b''"  # type: ignore[index]
    assert host.send(body=b"\xff").json()["body"] == r"b'\xff'"  # type: ignore[index]


def test_gzip_is_inflated_and_the_headers_then_lie(host: Host) -> None:
    host.plugin(ECHO)
    packed = gzip.compress(b"a" * 1000)
    seen = host.send(body=packed, headers=[("Content-Encoding", "gzip")]).json()
    assert seen["body"] == repr(b"a" * 1000)  # type: ignore[index]
    assert seen["headers"]["content-encoding"] == "gzip"  # type: ignore[index]
    assert seen["headers"]["content-length"] == str(len(packed))  # type: ignore[index]


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_over_ten_mebibytes_is_refused_with_413(host: Host, packed: bool) -> None:
    host.plugin("return [len(request_body)]")
    for size, status in [(10 * 1024 * 1024, 200), (10 * 1024 * 1024 + 1, 413)]:
        body = gzip.compress(bytes(size), 1) if packed else bytes(size)
        assert host.send(body=body, headers=[("Content-Encoding", "gzip")] if packed else []).status == status


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 200), ("POST", 200), ("PUT", 404), ("DELETE", 404), ("PATCH", 404), ("HEAD", 404)]
)
def test_only_get_and_post_reach_a_plugin(host: Host, method: str, status: int) -> None:
    host.plugin("return {}")
    assert host.send(method=method).status == status
    assert (host.texts() != []) == (status == 200)


def test_an_unknown_path_is_404_and_a_path_may_have_several_segments(host: Host) -> None:
    (host.engine.plugin_dir / "p.py").write_text(HEAD + "    return {}")
    host.engine.create_trigger("deep", path="p.py", spec="request:a/b/c")
    assert [host.send(route).status for route in ("a/b/c", "a/b", "a/b/c/d", "")] == [200, 404, 404, 404]


@pytest.mark.parametrize(("given", "seen"), [(None, None), ({}, None), ({"a": "1,2"}, {"a": "1,2"})])
def test_args_are_none_when_there_are_none(host: Host, given: object, seen: object) -> None:
    host.plugin(ECHO, arguments=given)
    assert host.send().json()["args"] == seen  # type: ignore[index]


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        (["a=b,c=d"], {"a": "b", "c": "d"}),
        (["a=b=c"], {"a": "b=c"}),
        (["a="], {"a": ""}),
        (['a="b=1,c=2"'], {"a": '"b=1', "c": '2"'}),
        (["a=1,a=2"], {"a": "2"}),
        (["a=1", "b=2", "a=3"], {"a": "3", "b": "2"}),
    ],
)
def test_the_command_line_cuts_arguments_at_each_comma_then_at_the_first_equals_sign(
    flags: list[str], arguments: dict[str, str]
) -> None:
    assert parse_trigger_arguments(*flags) == arguments


def test_a_trigger_argument_without_equals_sign_is_refused() -> None:
    with pytest.raises(ValueError, match="not key=value"):
        parse_trigger_arguments("a=1,b")


# influxdb3_local


def test_log_lines_join_their_arguments_and_stand_between_the_engines_own_two_rows(host: Host) -> None:
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


def test_log_lines_come_from_any_thread_also_after_the_trigger_was_deleted(host: Host) -> None:
    host.plugin("import engine_host_meeting as meeting; meeting.notes.append(influxdb3_local); return {}")
    host.send()
    host.engine.delete_trigger("t")
    host.notes[0].info("late")  # type: ignore[attr-defined]
    assert host.texts()[-1] == "late"


def test_the_log_is_a_ring_of_ten_thousand_rows_for_all_triggers(host: Host) -> None:
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
def test_queries_and_writes_that_wait_panic_on_another_thread_and_after_the_call(host: Host, call: str) -> None:
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
    host.notes[1]()  # type: ignore[operator]
    assert host.notes == ["PanicException", host.notes[1], "PanicException"]
    assert not issubclass(PanicException, Exception)


def test_a_query_returns_rows_for_the_triggers_database_unless_another_is_named(host: Host) -> None:
    host.plugin("return influxdb3_local.query('Q', {'a': 'b'}) + influxdb3_local.query('Q', database='other')")
    assert host.send().json() == [{"asked": ["Q", {"a": "b"}, "notifications"]}, {"asked": ["Q", {}, "other"]}]


def test_the_cache_is_of_one_trigger_unless_global_and_forgets_when_the_time_is_over(host: Host) -> None:
    body = """
    cache = influxdb3_local.cache
    seen = [cache.get("own"), cache.get("shared", "default", True), cache.get("brief")]
    cache.put("own", 1); cache.put("shared", 2, None, True); cache.put("brief", 3, 0.0)
    return seen + [cache.get("own"), cache.delete("absent")]
    """
    host.plugin(body, "a")
    host.plugin(body, "b")
    assert host.send("a").json() == [None, "default", None, 1, False]
    assert host.send("a").json() == [1, 2, None, 1, False]
    assert host.send("b").json() == [None, 2, None, 1, False]


def test_collected_writes_hold_the_answer_back_until_the_flush(host: Host) -> None:
    host.plugin("if request_body: influxdb3_local.write(LineBuilder('m').int64_field('n', 1))\nreturn {}")
    assert host.send(body=b"").status == 200
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(host.send, body=b"x")
        eventually(lambda: host.engine.database.lines == [("notifications", "m n=1i")])
        with pytest.raises(TimeoutError):
            reply.result(0.1)
        host.engine.flush()
        assert reply.result(5).status == 200


def test_collected_writes_of_a_call_that_raises_are_lost(host: Host) -> None:
    host.plugin("influxdb3_local.write(LineBuilder('m').int64_field('n', 1))\nraise ValueError('boom')")
    assert host.send().status == 500
    assert host.engine.database.lines == []


def test_collected_writes_that_are_no_lines_are_an_error_in_the_log(host: Host) -> None:
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
def test_write_sync_raises_at_once_where_a_line_is_none_or_does_not_fit_its_table(
    host: Host, line: str, error: str
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
    assert host.send(body=line.encode()).json() == [f"error writing line protocol to notifications: {error}"]
    assert host.engine.database.lines == [("notifications", "m n=1i")]


def test_the_flush_comes_by_itself_within_its_interval(tmp_path: Path) -> None:
    with EngineHost(tmp_path, flush_interval=0.05) as engine:
        host = Host(engine)
        assert 0 < engine.database.until_flush() <= 0.05
        host.plugin("influxdb3_local.write_sync(LineBuilder('m').int64_field('n', 1), False)\nreturn {}")
        assert host.send().status == 200


def test_an_interval_without_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="flush_interval is 0"):
        EngineHost(tmp_path, flush_interval=0)


def test_a_write_that_waits_ends_with_the_server(tmp_path: Path) -> None:
    host = Host(EngineHost(tmp_path, flush_interval=3600).start())
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


def test_collected_writes_of_another_thread_or_of_later_are_silently_lost(host: Host) -> None:
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
    host.notes[0]()  # type: ignore[operator]
    host.send()
    assert host.engine.database.lines == []


def test_write_sync_waits_for_the_flush_only_when_asked_to(host: Host) -> None:
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


# One after the other, or all at once


@pytest.mark.parametrize(("asynchronous", "together"), [(True, 3), (False, 1)])
def test_requests_run_one_after_the_other_unless_the_trigger_is_asynchronous(
    host: Host, asynchronous: bool, together: int
) -> None:
    host.plugin(BLOCK, asynchronous=asynchronous)
    with ThreadPoolExecutor(3) as pool:
        replies = [pool.submit(host.send) for _ in range(3)]
        for _ in range(together):
            assert host.entered.acquire(timeout=5)
        assert not host.entered.acquire(timeout=0.1)
        host.gate.set()
        assert [reply.result().status for reply in replies] == [200] * 3


def test_a_full_channel_of_a_synchronous_trigger_holds_up_every_other_trigger(host: Host) -> None:
    host.plugin(BLOCK, "slow", asynchronous=False)
    host.plugin("return {}", "other")
    with ThreadPoolExecutor(CHANNEL_PLACES + 3) as pool:
        # One runs, sixty wait in the channel: the engine is still free.
        queued = [pool.submit(host.send, "slow") for _ in range(1 + CHANNEL_PLACES)]
        slow = host.engine._workers["slow"]
        assert isinstance(slow, RequestWorker)
        eventually(lambda: slow.channel.full())
        assert host.send("other").status == 200
        # One more waits for a place, with the lock that everybody needs.
        queued.append(pool.submit(host.send, "slow"))
        eventually(lambda: host.engine._engine_lock.locked())
        other = pool.submit(host.send, "other")
        with pytest.raises(TimeoutError):
            other.result(0.1)
        host.gate.set()
        assert other.result(10).status == 200
        assert {reply.result(10).status for reply in queued} == {200}


def test_a_call_goes_on_when_its_client_goes_away(host: Host) -> None:
    host.plugin(BLOCK.replace("return", "influxdb3_local.info('went on')\nreturn"))
    connection = http.client.HTTPConnection("127.0.0.1", host.engine.port)
    connection.request("POST", "/api/v3/engine/t")
    assert host.entered.acquire(timeout=5)
    connection.close()
    host.gate.set()
    eventually(lambda: "went on" in host.texts())


def test_disabling_an_asynchronous_trigger_cuts_its_clients_while_the_call_goes_on(host: Host) -> None:
    host.plugin(BLOCK.replace("return", "influxdb3_local.info('went on')\nreturn"))
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(host.send)
        assert host.entered.acquire(timeout=5)
        host.engine.disable("t")
        assert reply.result(5).json() == {"error": "request handler for trigger down"}
        host.gate.set()
        eventually(lambda: "went on" in host.texts())
    assert host.send().status == 404
    host.engine.enable("t")
    assert host.send().status == 200


def test_disabling_a_synchronous_trigger_waits_for_its_call(host: Host) -> None:
    host.plugin(BLOCK, asynchronous=False)
    with ThreadPoolExecutor(2) as pool:
        reply = pool.submit(host.send)
        assert host.entered.acquire(timeout=5)
        disabled = pool.submit(host.engine.disable, "t")
        with pytest.raises(TimeoutError):
            disabled.result(0.1)
        host.gate.set()
        assert reply.result(5).status == 200
        disabled.result(5)


def test_deleting_the_newer_of_two_triggers_on_one_path_removes_the_route_until_the_older_is_enabled_anew(
    host: Host,
) -> None:
    for name in ("older", "newer"):
        (host.engine.plugin_dir / f"{name}.py").write_text(HEAD + f"    return [{name!r}]")
        host.engine.create_trigger(name, path=f"{name}.py", spec="request:t")
    assert host.send().json() == ["newer"]
    host.engine.delete_trigger("newer")
    assert host.send().status == 404
    host.engine.disable("older")
    host.engine.enable("older")
    assert host.send().json() == ["older"]


# The command line


def test_the_command_line_prints_its_address_and_serves_the_log_rows(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(HEAD + "    influxdb3_local.info('hello'); return args")
    command = [sys.executable, "-m", "tests.engine_host", "--plugin-dir", str(tmp_path), "--path", "p.py"]
    command += [
        "--spec",
        "request:a/b",
        "--error-behavior",
        "retry",
        "--trigger-arguments",
        "k=v,l=w",
        "--until-stdin-closes",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        url = json.loads(process.stdout.readline())["url"]
        with urllib.request.urlopen(f"{url}/api/v3/engine/a/b") as reply:
            assert json.load(reply) == {"k": "v", "l": "w"}
        with urllib.request.urlopen(f"{url}/_host/logs?trigger=notify") as reply:
            assert json.load(reply)[1]["log_text"] == "hello"
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_host_in_a_process_of_its_own_takes_every_kind_of_trigger_runs_schedules_and_takes_writes(
    tmp_path: Path,
) -> None:
    with ProcessEngine(tmp_path) as engine:
        (engine.plugin_dir / "p.py").write_text(
            HEADS["schedule"] + "    influxdb3_local.info(args['who']); raise ValueError\n"
            f"{HEADS['writes']}    influxdb3_local.info(table_batches)\n"
        )
        arguments = {"who": "scheduled"}
        engine.create_trigger(
            "s", path="p.py", spec="every:1y", arguments=arguments, run_asynchronous=False, error_behavior="disable"
        )
        engine.create_trigger("w", path="p.py", spec="table:m")
        engine.run_schedule("s")
        assert [row["log_text"] for row in engine.logs("s")][1] == "scheduled"
        assert harness.write_lp(engine, "m n=1i 5", precision="ns").status == 204
        seen = "[{'table_name': 'm', 'rows': [{'n': 1, 'time': 5}]}]"
        eventually(lambda: seen in [row["log_text"] for row in engine.logs("w")])
        with pytest.raises(AssertionError, match="no enabled scheduled trigger 's'"):
            harness.eventually(lambda: engine.run_schedule("s"))
        with pytest.raises(AssertionError, match="error behavior 'panic' is none of log, retry, disable"):
            engine.create_trigger("x", path="p.py", spec="all_tables", error_behavior="panic")  # type: ignore[arg-type]
        with pytest.raises(AssertionError, match="trigger specification 'hourly'"):
            engine.create_trigger("x", path="p.py", spec="hourly")
        engine.delete_trigger("w")


def test_the_host_is_told_to_flush_over_http(host: Host) -> None:
    host.plugin("import engine_host_meeting as meeting; meeting.entered.release()", spec="all_tables")
    assert host.write("m n=1").status == 204
    assert host.http("POST", "/_host/flush").json() == {}
    assert host.entered.acquire(timeout=5)
