"""The engine host loads a plugin, calls it and reads its answer as InfluxDB 3 does."""

import gzip
import http.client
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.engine_host.text_plugins import BLOCK, HEADS, TextPluginHost
from tests.engine_host.tokens import bearer
from tests.engine_host.trigger import ERROR_BEHAVIORS, ErrorBehavior
from tests.engine_host.workers import CHANNEL_PLACES, RequestWorker
from tests.harness import eventually

HEAD = HEADS["request"]
WAITS = BLOCK + "return {}"


# How a plugin is loaded


def test_the_source_is_read_and_executed_at_each_call(host: TextPluginHost) -> None:
    host.plugin("count = globals().setdefault('count', 0)\nglobals()['count'] += 1\nreturn [count]")
    assert [host.send().json, host.send().json] == [[0], [0]]
    (host.engine.plugin_dir / "t.py").write_text(HEAD + "    return ['other']")
    assert host.send().json == ["other"]


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
def test_a_plugin_sees_the_globals_of_an_embedded_interpreter(
    host: TextPluginHost, expression: str, value: object
) -> None:
    host.plugin(f"return [{expression}]")
    assert host.send().json == [value]


def test_the_plugin_directory_is_not_importable(host: TextPluginHost) -> None:
    (host.engine.plugin_dir / "neighbour.py").write_text("")
    host.plugin("import neighbour")
    assert host.send().json == {
        "error": "Python function call failed: ModuleNotFoundError: No module named 'neighbour'"
    }


def test_the_virtual_environment_is_named_after_the_plugin_directory(host: TextPluginHost) -> None:
    host.plugin("import os; return [os.environ['VIRTUAL_ENV']]")
    assert host.send().json == [str(host.engine.plugin_dir / ".venv")]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def", "SyntaxError: invalid syntax (<string>, line 1)"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("x = 1", "the process_request function is not present in the plugin"),
    ],
)
def test_a_source_that_does_not_load_is_a_500(host: TextPluginHost, source: str, error: str) -> None:
    host.plugin("return {}")
    (host.engine.plugin_dir / "t.py").write_text(source)
    reply = host.send()
    assert reply.status == 500
    assert reply.json["error"].startswith(error)


def test_only_the_existence_of_the_file_is_checked_when_a_trigger_is_created(host: TextPluginHost) -> None:
    (host.engine.plugin_dir / "broken.py").write_text("def")
    host.engine.create_trigger("broken", path="broken.py", spec="request:broken")
    with pytest.raises(FileNotFoundError):
        host.engine.create_trigger("absent", path="absent.py")


# Return values

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
def test_a_return_value_is_read_by_flasks_rules_and_the_engines_exceptions(
    host: TextPluginHost, value: str, status: int, body: str, content_types: list[str]
) -> None:
    host.plugin(f"return {value}")
    reply = host.send()
    types = [value for name, value in reply.headers if name.lower() == "content-type"]
    assert (reply.status, reply.text, types) == (status, body, content_types)


@pytest.mark.parametrize(
    ("value", "sent"), [("plain", "plain"), ("a\r\nb", ""), ("a\nb", ""), ("é", ""), ("a\tb", "a\tb")]
)
def test_a_header_value_with_a_line_break_comes_out_empty(host: TextPluginHost, value: str, sent: str) -> None:
    host.plugin(f"return 'a', 200, {{'X-A': {value!r}}}")
    assert host.send().header("X-A") == sent


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        ("ValueError('boom')", "ValueError: boom"),
        ("type('PanicException', (BaseException,), {})('index out of bounds')", "PanicException: index out of bounds"),
        ("SystemExit(3)", "SystemExit: 3"),
        ("KeyboardInterrupt()", "KeyboardInterrupt: "),
    ],
)
@pytest.mark.parametrize("error_behavior", ERROR_BEHAVIORS)
def test_any_exception_becomes_a_500_and_the_trigger_continues_with_every_error_behavior(
    host: TextPluginHost, raised: str, error: str, error_behavior: ErrorBehavior
) -> None:
    host.plugin(f"if request_body: raise {raised}\nreturn {{}}", error_behavior=error_behavior)
    reply = host.send(body=b"x")
    assert (reply.status, reply.json) == (500, {"error": f"Python function call failed: {error}"})
    assert host.send().status == 200
    assert f"error running request plugin: Python function call failed: {error}" in host.texts()


# Arguments of a request trigger

ECHO = "return {'query': query_parameters, 'headers': request_headers, 'body': repr(request_body), 'args': args}"


def test_headers_are_lower_cased_the_last_wins_and_only_authorization_is_filtered(host: TextPluginHost) -> None:
    host.plugin(ECHO)
    reply = host.send(
        headers=[
            ("Authorization", f"Bearer {host.engine.token}"),
            ("Cookie", "c=1"),
            ("X-API-Key", "k"),
            ("X-Twice", "1"),
            ("x-twice", "2"),
        ]
    )
    headers = reply.json["headers"]
    assert "authorization" not in headers
    assert (headers["cookie"], headers["x-api-key"], headers["x-twice"]) == ("c=1", "k", "2")


@pytest.mark.parametrize(
    ("query", "seen"),
    [("", {}), ("a=1&a=2", {"a": "2"}), ("a=b+c%20d&e", {"a": "b c d", "e": ""}), ("a=%C3%A9", {"a": "é"})],
)
def test_query_parameters_are_a_dict_of_str_where_the_last_wins(host: TextPluginHost, query: str, seen: object) -> None:
    host.plugin(ECHO)
    assert host.send(f"t?{query}").json["query"] == seen


def test_a_body_is_bytes_and_empty_when_there_is_none(host: TextPluginHost) -> None:
    host.plugin(ECHO)
    assert host.send(method="GET").json["body"] == "b''"
    assert host.send(body=b"\xff").json["body"] == r"b'\xff'"


def test_gzip_is_inflated_and_the_headers_stay_unchanged(host: TextPluginHost) -> None:
    host.plugin(ECHO)
    packed = gzip.compress(b"a" * 1000)
    seen = host.send(body=packed, headers=[("Content-Encoding", "gzip")]).json
    assert seen["body"] == repr(b"a" * 1000)
    assert seen["headers"]["content-encoding"] == "gzip"
    assert seen["headers"]["content-length"] == str(len(packed))


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_over_ten_mebibytes_is_refused_with_413(host: TextPluginHost, packed: bool) -> None:
    host.plugin("return [len(request_body)]")
    for size, status in [(10 * 1024 * 1024, 200), (10 * 1024 * 1024 + 1, 413)]:
        body = gzip.compress(bytes(size), 1) if packed else bytes(size)
        assert host.send(body=body, headers=[("Content-Encoding", "gzip")] if packed else []).status == status


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 200), ("POST", 200), ("PUT", 404), ("DELETE", 404), ("PATCH", 404), ("HEAD", 404)]
)
def test_only_get_and_post_reach_a_plugin(host: TextPluginHost, method: str, status: int) -> None:
    host.plugin("return {}")
    assert host.send(method=method).status == status
    assert (host.texts() != []) == (status == 200)


def test_an_unknown_path_is_404_and_a_path_may_have_several_segments(host: TextPluginHost) -> None:
    (host.engine.plugin_dir / "p.py").write_text(HEAD + "    return {}")
    host.engine.create_trigger("deep", path="p.py", spec="request:a/b/c")
    assert [host.send(route).status for route in ("a/b/c", "a/b", "a/b/c/d", "")] == [200, 404, 404, 404]


@pytest.mark.parametrize(("given", "seen"), [(None, None), ({}, None), ({"a": "1,2"}, {"a": "1,2"})])
def test_args_are_none_when_there_are_none(host: TextPluginHost, given: dict[str, str] | None, seen: object) -> None:
    host.plugin(ECHO, arguments=given)
    assert host.send().json["args"] == seen


# One after the other, or all at once


@pytest.mark.parametrize(("asynchronous", "together"), [(True, 3), (False, 1)])
def test_requests_run_one_after_the_other_unless_the_trigger_is_asynchronous(
    host: TextPluginHost, asynchronous: bool, together: int
) -> None:
    host.plugin(WAITS, asynchronous=asynchronous)
    with ThreadPoolExecutor(3) as pool:
        replies = [pool.submit(host.send) for _ in range(3)]
        for _ in range(together):
            assert host.entered.acquire(timeout=5)
        assert not host.entered.acquire(timeout=0.1)
        host.gate.set()
        assert [reply.result().status for reply in replies] == [200] * 3


def test_a_full_channel_of_a_synchronous_trigger_holds_up_every_other_trigger_and_plain_writes(
    host: TextPluginHost,
) -> None:
    host.plugin(WAITS, "slow", asynchronous=False)
    host.plugin("return {}", "other")
    with ThreadPoolExecutor(CHANNEL_PLACES + 5) as pool:
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
        written = pool.submit(host.http, "POST", "/api/v3/write_lp?db=notifications", body=b"m n=1")
        eventually(lambda: host.engine.database.lines != [])
        flushed = pool.submit(host.engine.flush)
        with pytest.raises(TimeoutError):
            other.result(0.1)
        assert not written.done()
        host.gate.set()
        assert other.result(10).status == 200
        flushed.result(10)
        assert written.result(10).status == 204
        assert {reply.result(10).status for reply in queued} == {200}


def test_a_call_goes_on_when_its_client_goes_away(host: TextPluginHost) -> None:
    host.plugin(f"{BLOCK}influxdb3_local.info('went on')\nreturn {{}}")
    connection = http.client.HTTPConnection("127.0.0.1", host.engine.port)
    connection.request("POST", "/api/v3/engine/t", headers=bearer(host.engine.token))
    assert host.entered.acquire(timeout=5)
    connection.close()
    host.gate.set()
    eventually(lambda: "went on" in host.texts())


def test_disabling_an_asynchronous_trigger_cuts_its_clients_while_the_call_goes_on(host: TextPluginHost) -> None:
    host.plugin(f"{BLOCK}influxdb3_local.info('went on')\nreturn {{}}")
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(host.send)
        assert host.entered.acquire(timeout=5)
        host.engine.disable("t")
        assert reply.result(5).json == {"error": "request handler for trigger down"}
        host.gate.set()
        eventually(lambda: "went on" in host.texts())
    assert host.send().status == 404
    host.engine.enable("t")
    assert host.send().status == 200


def test_disabling_a_synchronous_trigger_waits_for_its_call(host: TextPluginHost) -> None:
    host.plugin(WAITS, asynchronous=False)
    with ThreadPoolExecutor(2) as pool:
        reply = pool.submit(host.send)
        assert host.entered.acquire(timeout=5)
        disabled = pool.submit(host.engine.disable, "t")
        with pytest.raises(TimeoutError):
            disabled.result(0.1)
        host.gate.set()
        assert reply.result(5).status == 200
        disabled.result(5)


def test_deleting_the_newer_of_two_triggers_on_one_path_removes_the_route_until_the_older_is_enabled_again(
    host: TextPluginHost,
) -> None:
    for name in ("older", "newer"):
        (host.engine.plugin_dir / f"{name}.py").write_text(HEAD + f"    return [{name!r}]")
        host.engine.create_trigger(name, path=f"{name}.py", spec="request:t")
    assert host.send().json == ["newer"]
    host.engine.delete_trigger("newer")
    assert host.send().status == 404
    host.engine.disable("older")
    host.engine.enable("older")
    assert host.send().json == ["older"]
