"""notifier_plugin.py: its raw text for tools, and its responses without a compatible wheel."""

import ast
import json
import re
import time
import timeit
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from tests.harness import PLUGIN, ROOT, ProcessEngine, post

SOURCE = PLUGIN.read_text(encoding="utf-8")
KINDS = {"http": "process_request", "scheduled": "process_scheduled_call", "onwrite": "process_writes"}

ARGUMENTS = {
    "http": [
        "config_file_path",
        "response_timeout",
        "delivery_timeout",
        "failure_status",
        "default_receivers",
        "request_destinations",
        "allowed_hosts",
        "private_addresses",
        "outbox",
        "history_table",
        "dry_run",
    ],
    "scheduled": ["config_file_path", "outbox"],
    "onwrite": [
        "config_file_path",
        "text_column",
        "level_column",
        "title_column",
        "status_column",
        "dedup_key_column",
        "template",
        "delivery_timeout",
        "default_receivers",
        "outbox",
        "history_table",
        "dry_run",
    ],
}
"""The common arguments, which Explorer's form shows. docs/configuration.md has all arguments."""
MAX_BYTES, MAX_BYTECODE = 6_270, 284
"""The measured size of the file in bytes of source and of Python 3.13's instructions, plus 5 %."""


# The raw text


def docstring() -> str:
    """The text between the first two triple quotes, read raw as the registry's tools do."""
    assert SOURCE.startswith('"""')
    return SOURCE.split('"""', 2)[1]


def metadata() -> dict[str, Any]:
    data = json.loads(docstring())
    assert isinstance(data, dict)
    return data


def functions() -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.parse(SOURCE).body if isinstance(node, ast.FunctionDef)}


def test_the_file_begins_with_a_docstring_that_is_json_and_has_no_backslash() -> None:
    assert "\\" not in docstring()
    assert ast.get_docstring(ast.parse(SOURCE), clean=False) == docstring()
    assert metadata()


def test_an_argument_of_two_kinds_of_triggers_is_described_in_the_same_words() -> None:
    of_requests, of_writes = (
        {argument["name"]: argument for argument in metadata()[f"{kind}_args_config"]} for kind in ("http", "onwrite")
    )
    both = of_requests.keys() & of_writes.keys()
    assert "config_file_path" in both
    assert {name: of_requests[name] for name in both} == {name: of_writes[name] for name in both}


def bytecode(code: CodeType) -> int:
    """The bytes of instructions, with those of inner functions."""
    return len(code.co_code) + sum(bytecode(inner) for inner in code.co_consts if isinstance(inner, CodeType))


def test_the_file_stays_cheap_to_compile() -> None:
    assert PLUGIN.stat().st_size <= MAX_BYTES
    assert bytecode(compile(SOURCE, "<string>", "exec")) <= MAX_BYTECODE


def test_compiling_it_takes_at_most_two_and_a_half_times_as_long_as_a_file_of_ten_lines() -> None:
    ten_lines = (ROOT / "bench" / "plugins" / "ten_lines.py").read_text(encoding="utf-8")

    def fastest(source: str) -> float:
        return min(timeit.repeat(lambda: compile(source, "<string>", "exec"), time.process_time, number=20, repeat=25))

    ratio = fastest(SOURCE) / fastest(ten_lines)
    print(f"compiling: {ratio:.2f} x a file of ten lines")
    # The target is 2.5; a loaded machine is no reason to fail, a file that does too much is.
    assert ratio <= 3.5


def test_a_trigger_is_declared_exactly_when_its_function_exists() -> None:
    declared = metadata()["plugin_type"]
    assert declared == [kind for kind, function in KINDS.items() if function in functions()]
    assert set(metadata()) == {"plugin_type", *(f"{kind}_args_config" for kind in declared)}


def test_the_functions_pass_on_all_arguments_of_the_engine() -> None:
    for name in KINDS.values():
        parameters = functions()[name].args
        assert parameters.vararg is not None
        assert not parameters.args + parameters.kwonlyargs


def test_no_package_is_imported_when_the_file_is_executed() -> None:
    imports = [node for node in ast.parse(SOURCE).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imports] == ["from sys import modules"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_form_shows_the_common_parameters(kind: str) -> None:
    assert [entry["name"] for entry in metadata()[f"{kind}_args_config"]] == ARGUMENTS[kind]


@pytest.mark.parametrize("entry", [entry for kind in KINDS for entry in metadata()[f"{kind}_args_config"]], ids=str)
def test_a_description_is_one_short_line(entry: dict[str, Any]) -> None:
    assert len(entry["description"]) <= 80


@pytest.mark.parametrize("entry", metadata()["http_args_config"], ids=lambda entry: str(entry["name"]))
def test_an_argument_has_a_name_an_example_a_description_and_whether_it_is_required(entry: dict[str, Any]) -> None:
    assert list(entry) == ["name", "example", "description", "required"]
    assert isinstance(entry.pop("required"), bool)
    assert all(isinstance(text, str) and text.strip() for text in entry.values())


def test_an_example_can_be_given_on_the_command_line() -> None:
    assert not [entry for entry in metadata()["http_args_config"] if "," in entry["example"]]


def constant(name: str) -> object:
    found = re.search(rf"^{name} = (.+)$", SOURCE, re.MULTILINE)
    assert found
    return ast.literal_eval(found[1])


def test_the_file_names_cargos_version_and_the_plugin_api() -> None:
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    assert constant("WHEEL_VERSION") == cargo["workspace"]["package"]["version"]
    assert SOURCE.count("(1, *call)") == len(KINDS)


# Without a wheel that fits

NO_WHEEL = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == "influxdb3_notifier":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""

PANICS = """
class PanicException(BaseException): ...
raise PanicException("not initialized")
"""


@contextmanager
def host_whose_wheel_is(tmp_path: Path, *, startup: str = "", package: str | None = None) -> Iterator[ProcessEngine]:
    """An engine host in a separate interpreter, with ``package`` as the wheel."""
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "sitecustomize.py").write_text(startup)
    if package is not None:
        (shadow / "influxdb3_notifier").mkdir()
        (shadow / "influxdb3_notifier" / "__init__.py").write_text(package)
    with ProcessEngine(tmp_path, environment={"PYTHONPATH": str(shadow)}) as engine:
        yield engine


def check_unfit(engine: ProcessEngine, code: str) -> None:
    """Check for a 503 with the contract's members, and one error line with the command that fixes it."""
    command = f"influxdb3 install package 'influxdb3-notifier=={constant('WHEEL_VERSION')}'"
    response = post(engine, b"{}")
    assert response.status == 503
    assert response.header("Content-Type") == "application/json"
    assert response.json.pop("message")
    hint = response.json["error"].pop("hint")
    assert command in hint
    assert response.json == {
        "status": "failed",
        "task_id": None,
        "results": {},
        "deliveries": [],
        "warnings": [],
        "error": {"code": code, "path": None},
    }
    rows = engine.logs()
    assert len(rows) == 3, "one line beside the engine's own two"
    assert rows[1]["log_level"] == "ERROR"
    assert rows[1]["log_text"].startswith(f"notifier [-] {code}: ")
    assert command in rows[1]["log_text"]
    assert rows[1]["log_text"].isascii()


def test_a_missing_wheel_is_a_503_that_says_how_to_install_it(tmp_path: Path) -> None:
    with host_whose_wheel_is(tmp_path, startup=NO_WHEEL) as engine:
        check_unfit(engine, "wheel_missing")


@pytest.mark.parametrize(
    "package",
    [
        "raise ImportError('/x/_native.abi3.so: undefined symbol: \\u00e9')",
        "raise OSError('invalid ELF header')",
        "from influxdb3_notifier import _native",
        "import a_package_that_is_not_there",
        "__version__ = '0.0.1'",
        "1 / 0",
        "def",
        PANICS,
    ],
    ids=["import", "os", "native", "dependency", "name", "exception", "syntax", "panic"],
)
def test_a_wheel_that_does_not_load_is_a_503_with_the_name_of_the_right_wheel(tmp_path: Path, package: str) -> None:
    with host_whose_wheel_is(tmp_path, package=package) as engine:
        check_unfit(engine, "wheel_incompatible")


def test_a_wheel_installed_after_the_first_call_works_without_a_restart(tmp_path: Path) -> None:
    with host_whose_wheel_is(tmp_path, package="raise ImportError('half installed')") as engine:
        check_unfit(engine, "wheel_incompatible")
        package = tmp_path / "shadow" / "influxdb3_notifier" / "__init__.py"
        others = "process_scheduled_call = process_writes = print"
        package.write_text(f"def process_request(*given): return {{'api': given[0], 'args': given[5]}}\n{others}")
        response = post(engine, b"")
        assert (response.status, response.json) == (200, {"api": 1, "args": None})
