"""docs/official-plugins.md: its file is the example, and routes the plugins' texts as documented."""

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.docs.documents import blocks
from tests.harness import ROOT

PAGE = (ROOT / "docs" / "official-plugins.md").read_text(encoding="utf-8")
[FILE] = [block.text for block in blocks(PAGE) if block.language == "toml"]
TEXTS = re.findall(r"^\| \w+[^|]* \| `([^`]+)` \|", PAGE, re.MULTILINE)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "notifier.toml"
    path.write_text(FILE)
    return path


def receivers(file: Path, text: str) -> tuple[list[str], str | None]:
    """The receivers of an official plugin's text, and the silence that mutes it."""
    routing = run("routes", file, "--text", text, "--at", "2026-12-01T00:00:00Z", "--format", "json").json
    return [reached["name"] for reached in routing["receivers"]], routing["suppressed_by"]


def test_the_file_on_the_page_is_the_example_and_is_valid() -> None:
    example = ROOT / "examples" / "official-callers.toml"
    assert example.read_text(encoding="utf-8").partition("\n\n")[2] == FILE + "\n"
    done = run("check", example)
    assert (done.status, "warning" in done.out) == (0, False)


@pytest.mark.parametrize(
    ("text", "reached", "silence"),
    [
        ("Deadman Alert: No data received from cpu from 10:00 to 10:05.", "oncall", None),
        ("[ERROR] Threshold Alert on table cpu: matched in row cpu:usage:avg:ERROR:host=db1.", "oncall", None),
        ("[WARN] Threshold Alert on table cpu: matched in row cpu:usage:avg:WARN:host=db1.", "team", None),
        ("[ERROR] Threshold Alert on table cpu: matched in row cpu:usage:avg:ERROR:host=web1.", "team", None),
        ("MAD count alert: Field usage in cpu outlier for 5 consecutive points. Tags: host=db1", "team", None),
        ("[ERROR] Threshold Alert: matched in row cpu:usage:host=db7.", "oncall", "db7 is being rebuilt"),
        ("[ERROR] Threshold Alert: matched in row cpu:usage:host=db70.", "oncall", None),
    ],
)
def test_a_text_reaches_the_documented_receiver(file: Path, text: str, reached: str, silence: str | None) -> None:
    assert receivers(file, text) == ([reached], silence)


@pytest.mark.parametrize("text", TEXTS)
def test_the_documented_expressions_extract_fields_from_every_plugins_text(file: Path, text: str) -> None:
    fields = run("routes", file, "--text", text, "--format", "json").json["fields"]
    table = "unit" if "table unit" in text else "cpu"
    assert fields == {"table": table} | ({"host": "db1"} if "host=db1" in text else {})


@pytest.mark.parametrize(
    ("tags", "host"),
    [
        ("host=db1.", "db1"),
        ("host=db1.example.com.", "db1.example.com"),
        ("region=eu:host=db-1:rack=7.", "db-1"),
        ("region=eu, host=db1, rack=7", "db1"),
        ("region=eu", None),
    ],
)
def test_the_host_is_found_among_other_tags(file: Path, tags: str, host: str | None) -> None:
    text = f"[ERROR] Threshold Alert on table cpu: matched in row cpu:usage:avg:ERROR:{tags}"
    fields = run("routes", file, "--text", text, "--format", "json").json["fields"]
    assert fields.get("host") == host


def test_the_commands_on_the_page_are_parsed(file: Path) -> None:
    lines = [
        line for block in blocks(PAGE) for line in block.text.splitlines() if line.startswith("influxdb3-notifier ")
    ]
    assert [run(*shlex.split(line)[1:], cwd=file.parent).lines()[0].partition(":")[0] for line in lines] == [
        "team",
        "oncall",
    ]


def test_every_plugins_text_is_shown_and_no_argument_holds_a_comma() -> None:
    assert len(TEXTS) == 9
    arguments = re.findall(r"`(notification_\w*text=[^`]+)`", PAGE)
    assert len(arguments) == 5
    assert [argument for argument in arguments if "," in argument] == []
    assert all(re.match(r"notification_\w*text=\[(WARN|ERROR|CRITICAL)\] ", argument) for argument in arguments)
