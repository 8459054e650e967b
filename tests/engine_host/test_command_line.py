"""The engine host in a separate process, and its command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine_host.text_plugins import HEADS, TextPluginHost
from tests.engine_host.tokens import bearer
from tests.engine_host.trigger import parse_trigger_arguments
from tests.harness import ROOT, ProcessEngine, eventually, http_request, until_json_line, write_lp


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


def test_the_command_line_prints_its_address_and_serves_the_log_rows(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(HEADS["request"] + "    influxdb3_local.info('hello'); return args")
    command = [sys.executable, "-m", "tests.engine_host", "--plugin-dir", str(tmp_path), "--path", "p.py"]
    command += ["--spec", "request:a/b", "--error-behavior", "retry", "--trigger-arguments", "k=v,l=w"]
    command += ["--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        started = until_json_line(process)
        url, headers = started["url"], bearer(started["token"])
        assert http_request("GET", f"{url}/api/v3/engine/a/b", headers=headers).json == {"k": "v", "l": "w"}
        assert http_request("GET", f"{url}/_host/logs?trigger=notify", headers=headers).json[1]["log_text"] == "hello"
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
        assert write_lp(engine, "m n=1i 5", precision="ns").status == 204
        seen = "[{'table_name': 'm', 'rows': [{'n': 1, 'time': 5}]}]"
        eventually(lambda: seen in [row["log_text"] for row in engine.logs("w")])
        with pytest.raises(AssertionError, match="no enabled scheduled trigger 's'"):
            eventually(lambda: engine.run_schedule("s"))
        with pytest.raises(AssertionError, match="error behavior 'panic' is none of log, retry, disable"):
            engine.create_trigger("x", path="p.py", spec="all_tables", error_behavior="panic")  # type: ignore[arg-type]
        with pytest.raises(AssertionError, match="a trigger has no asynchronous"):
            engine.create_trigger("x", path="p.py", asynchronous=True)  # type: ignore[call-arg]
        with pytest.raises(AssertionError, match="trigger specification 'hourly'"):
            engine.create_trigger("x", path="p.py", spec="hourly")
        engine.delete_trigger("w")


def test_the_host_flushes_on_an_http_request(host: TextPluginHost) -> None:
    host.plugin("import engine_host_meeting as meeting; meeting.entered.release()", spec="all_tables")
    assert host.write("m n=1").status == 204
    assert host.http("POST", "/_host/flush").json == {}
    assert host.entered.acquire(timeout=5)
