"""README.md: the rules of the plugin registry's validator, and the curl examples."""

import json
import os
import re
import shlex
import shutil
import subprocess
from typing import Any

import pytest

from tests import harness
from tests.docs.documents import Block, as_curl_would, blocks, shape
from tests.engine_host.host import EngineHost
from tests.engine_host.plugin import SIGNATURES
from tests.harness import ROOT, Standin

README = (ROOT / "README.md").read_text(encoding="utf-8")

SECTIONS = [
    "## Description",
    "## Configuration",
    "### Plugin metadata",
    "## Trigger setup",
    "## Example usage",
    "## Code overview",
    "## Troubleshooting",
    "## Questions/Comments",
]
"""In the order of their first occurrences, which the validator requires. A longer heading may contain them."""


def section(name: str) -> str:
    """The text under a heading of the second level."""
    _, _, rest = README.partition(f"\n## {name}\n")
    return rest.partition("\n## ")[0]


BASH = [block for block in blocks(README) if block.language == "bash"]
CURL = [block for block in BASH if "curl " in block.text]
POSTS = [block for block in CURL if "-X POST" in block.text]


# The validator's rules


def test_the_metadata_line_is_as_the_validators_pattern_wants_it() -> None:
    kinds = "⚡ http, scheduled, onwrite 🏷\ufe0f notifications, webhooks, messaging, alerts"
    line = f"{kinds} 🔧 InfluxDB 3 Core, InfluxDB 3 Enterprise"
    assert line in README.splitlines()
    assert re.search(r"^⚡\s+[\w\-,\s]+\s+🏷️\s+[\w\-,\s]+\s+🔧\s+InfluxDB 3", README, re.MULTILINE)


def test_the_title_is_the_plugins_name() -> None:
    assert README.startswith("# influxdb3-notifier\n")
    assert "Plugin Name" not in README


def test_the_sections_first_occurrences_are_in_order() -> None:
    places = [README.find(name) for name in SECTIONS]
    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.parametrize(
    "heading", ["### Request body parameters", "### Optional parameters", "### Installation steps"]
)
def test_the_headings_of_parameters_and_installation_are_there(heading: str) -> None:
    assert README.count(f"\n{heading}\n") == 1


def test_a_table_lists_parameters_and_marks_required_ones() -> None:
    assert re.search(r"\|\s*Parameter\s*\|\s*Type\s*\|\s*Default\s*\|\s*Description\s*\|", README)
    assert "required" in README


@pytest.mark.parametrize("command", ["influxdb3 create trigger", "influxdb3 write", "influxdb3 query"])
def test_a_bash_block_shows_the_command(command: str) -> None:
    assert len(BASH) >= 2
    assert any(command in block.text for block in BASH)


def test_every_create_trigger_is_complete() -> None:
    commands = [block.text for block in BASH if "create trigger" in block.text]
    assert commands
    for command in commands:
        words = shlex.split(command)
        assert "--run-asynchronous" in words
        assert words[words.index("--path") + 1] == "notifier_plugin.py"
        assert words[words.index("--trigger-spec") + 1] == "request:notify"
    assert "takes effect for request triggers from 3.9" in README
    assert re.search(r"`--path` is for 3\.7 or newer.*`--plugin-filename`", README)


def test_expected_output_is_under_plain_headings() -> None:
    assert README.count("### Expected output") >= len(POSTS)
    assert "**Expected output" not in README


def test_the_code_overview_has_files_and_functions_with_signatures() -> None:
    overview = section("Code overview")
    assert "### Files" in overview
    _, _, functions = overview.partition("### Main functions")
    assert re.search(r"`\w+\(.*?\)`", functions)


def test_the_documented_signatures_are_the_engines() -> None:
    source = (ROOT / "notifier_plugin.py").read_text(encoding="utf-8")
    defined = re.findall(r"^def (process_\w+)\(\*call\):$", source, re.MULTILINE)
    documented = re.findall(r"^#### `(\w+\(.*\))`$", README, re.MULTILINE)
    assert sorted(documented) == sorted(name + SIGNATURES[name] for name in defined)


def test_every_issue_has_its_solution() -> None:
    troubleshooting = section("Troubleshooting")
    assert "### Common issues" in troubleshooting
    issues = re.split(r"^#### Issue: ", troubleshooting, flags=re.MULTILINE)[1:]
    assert issues
    assert [issue.splitlines()[0] for issue in issues if issue.count("**Solution**:") != 1] == []


@pytest.mark.parametrize(
    "words",
    [
        ["404", "disabled", "path"],
        ["503", "install package", "pip", "view=status", "restart"],
        ["HTTP_PROXY", "NO_PROXY=localhost"],
        ["TLS", "plain HTTP"],
        ["Read timed out", "response_timeout"],
        ["pending", "log", "task_id"],
        ["official Python plugin", "gh:", "disable and delete", "3.10"],
    ],
    ids=lambda words: str(words[0]),
)
def test_troubleshooting_has_a_solution_for_each_problem(words: list[str]) -> None:
    issues = re.split(r"^#### Issue: ", section("Troubleshooting"), flags=re.MULTILINE)[1:]
    assert [issue for issue in issues if all(word in issue for word in words)]


def test_log_queries_are_valid_on_a_server() -> None:
    query = (
        "SELECT event_time, trigger_name, log_level, log_text FROM system.processing_engine_logs "
        "WHERE log_text LIKE '%notifier%' ORDER BY event_time DESC LIMIT 10"
    )
    assert query in README
    assert "_internal" not in README


def test_links_do_not_lead_to_an_absolute_readme() -> None:
    assert not re.search(r"\]\(/README\.md\)", README)
    assert not [link for link in re.findall(r"\]\(([^)]+\.toml)\)", README) if not (ROOT / link).exists()]


def test_the_installed_version_is_cargos() -> None:
    cargo = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', cargo, re.MULTILINE)
    assert version
    assert set(re.findall(r"influxdb3-notifier==(\w+(?:\.\w+)+)", README)) == {version[1]}


# The examples


@pytest.fixture
def endpoint(engine_host: EngineHost, standin: Standin, monkeypatch: pytest.MonkeyPatch) -> EngineHost:
    """The README's trigger, with the stand-in as Twilio and credentials in the environment."""
    monkeypatch.setenv("INFLUXDB3_AUTH_TOKEN", str(engine_host.token))
    monkeypatch.setenv("TWILIO_SID", "AC" + "0" * 32)
    monkeypatch.setenv("TWILIO_TOKEN", "0" * 32)
    engine_host.create_trigger("notify", arguments={"twilio_base_url": standin.url})
    return engine_host


def run(example: str, engine: EngineHost, standin: Standin) -> Any:
    """Run a block with the stand-in's hosts, with curl if it is installed, and return the response."""
    command = example.replace("http://localhost:8181", engine.url)
    for host in ("hooks.slack.com", "discord.com", "api.twilio.com"):
        command = command.replace(f"https://{host}", standin.url)
    assert "https://" not in command.replace('"link": "https://', ""), "no packet of a test leaves loopback"
    if shutil.which("curl") and shutil.which("bash"):
        environment = os.environ | {"NO_PROXY": "*"}
        process = subprocess.run(
            ["bash", "-euc", command.replace("curl ", "curl -sS ")],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        return json.loads(process.stdout)
    return as_curl_would(shlex.split(command.replace("\\\n", " ")))


def expected_output_after(block: Block) -> Any:
    all_blocks = blocks(README)
    place = next(i for i, other in enumerate(all_blocks) if other.text == block.text)
    expected = all_blocks[place + 1]
    assert expected.language == "json"
    assert expected.heading.startswith("### Expected output")
    return json.loads(expected.text)


def test_the_example_has_two_channels() -> None:
    senders = [list(json.loads(shlex.split(block.text)[-1])["senders_config"]) for block in POSTS]
    assert senders == [["slack", "sms"]]


@pytest.mark.parametrize("block", POSTS, ids=lambda block: block.heading.strip("# "))
def test_a_curl_example_answers_as_documented(block: Block, endpoint: EngineHost, standin: Standin) -> None:
    response = run(block.text, endpoint, standin)
    assert shape(response) == shape(expected_output_after(block))
    assert len(standin.messages()) == len(response["deliveries"])


def test_the_fallback_without_curl_answers_the_same(endpoint: EngineHost, standin: Standin) -> None:
    words = shlex.split(POSTS[0].text.replace("http://localhost:8181", endpoint.url).replace("\\\n", " "))
    words[-1] = words[-1].replace("https://hooks.slack.com", standin.url)
    assert shape(as_curl_would(words)) == shape(expected_output_after(POSTS[0]))


def test_the_check_after_the_installation_reports_ok(endpoint: EngineHost, standin: Standin) -> None:
    (block,) = [block for block in CURL if block not in POSTS]
    assert run(block.text, endpoint, standin)["status"] == "ok"


def test_the_headers_example_encodes_json_as_base64() -> None:
    (block,) = [block for block in BASH if "base64" in block.text]
    encoded = subprocess.run(["bash", "-c", block.text], capture_output=True, text=True, check=True).stdout.strip()
    assert encoded == harness.encode_headers({"Authorization": "Bearer XXXX"})


# The request's fields


def documented_fields() -> list[str]:
    _, _, parameters = README.partition("### Request body parameters")
    table = parameters.partition("### Optional parameters")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_the_fields_of_the_table_are_known_and_available(notify: Any) -> None:
    assert documented_fields()
    body: dict[str, object] = dict.fromkeys(documented_fields(), "x")
    body |= {"senders_config": {}, "dry_run": True, "receivers": ["x"]}
    body |= {"fields": {"host": "db1"}, "data": {}}
    warnings = notify(body).json["warnings"]
    assert not [warning for warning in warnings if "unknown field" in warning or "version" in warning]
