"""The documents of the configuration file and the command line: all files and commands in them are valid."""

import re
import shlex
from pathlib import Path

import pytest

from influxdb3_notifier import cli
from tests.channels.channel import REGISTRY
from tests.cli.program import run
from tests.contract.test_file_fields import HTTP_ONLY, OPTIONS, ROWS, TWILIO_ONLY
from tests.docs.documents import blocks
from tests.harness import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
WITH_TOML = [
    "alerts.md",
    "cluster.md",
    "configuration-file.md",
    "durability.md",
    "official-plugins.md",
    "prometheus.md",
    "templates.md",
]
FILE_PAGE = (ROOT / "docs" / "configuration-file.md").read_text(encoding="utf-8")


def toml(document: Path) -> str:
    """The document's TOML blocks, joined to one file."""
    return "\n".join(block.text for block in blocks(document.read_text(encoding="utf-8")) if block.language == "toml")


@pytest.mark.parametrize("name", WITH_TOML)
def test_toml_in_a_document_is_a_valid_file(name: str, tmp_path: Path) -> None:
    text = toml(ROOT / "docs" / name)
    (tmp_path / "n.toml").write_text(text)
    done = run("check", "n.toml", cwd=tmp_path, environment={"PLUGIN_DIR": str(tmp_path)})
    assert (done.status, "warning" in done.out) == (0, False), done.out


def test_every_document_with_toml_is_tested() -> None:
    assert {document.name for document in DOCUMENTS if toml(document)} == set(WITH_TOML)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_valid_has_a_purpose_and_is_linked(example: Path) -> None:
    done = run("check", example)
    assert (done.status, "warning" in done.out) == (0, False), done.out
    assert example.read_text(encoding="utf-8").startswith("# ")
    assert [document for document in DOCUMENTS if example.name in document.read_text(encoding="utf-8")]
    assert run("templates", "check", example, "--text", "x", "--level", "ok").status == 0


def commands() -> list[str]:
    """The notifier's command lines in a document."""
    found = []
    for document in DOCUMENTS:
        for block in blocks(document.read_text(encoding="utf-8")):
            if block.language == "bash":
                lines = block.text.replace("\\\n", " ").splitlines()
                found += re.findall(
                    r"^(?:.*\| )?((?:\S*/)?influxdb3-notifier .*?)(?: > \S+)?$", "\n".join(lines), re.MULTILINE
                )
    return found


def test_commands_in_documents_are_found() -> None:
    shown = {shlex.split(line)[1] for line in commands()}
    assert shown >= {"check", "routes", "render", "send", "templates", "install-plugin"}


@pytest.mark.parametrize("line", commands())
def test_a_command_in_a_document_is_valid(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "senders.json").write_text("{}")
    options = cli.build_parser().parse_args(shlex.split(line)[1:])
    assert callable(options.run)


def fields(entries: str) -> set[str]:
    """The names in one of the page's lists of fields."""
    text = FILE_PAGE.partition(f"<!-- table: {entries} -->")[2].partition("<!-- end")[0]
    return set(re.findall(r"^- .*?`(\w+)` \(", text, re.MULTILINE))


def of_the_file(sender: str) -> set[str]:
    """The parameters of a sender that only a configuration file may set."""
    return {one["name"] for one in REGISTRY[sender]["parameters"] if one["operator_only"]}


def test_every_file_only_field_is_tested_on_the_wire_and_in_a_request() -> None:
    documented, options = fields("file fields"), fields("file options")
    assert of_the_file("http") == set(HTTP_ONLY)
    assert of_the_file("sms") == set(TWILIO_ONLY)
    assert options == set(OPTIONS)
    tests = ROOT / "tests"
    source = (tests / "contract" / "test_file_fields.py").read_text(encoding="utf-8")
    on_the_wire = " ".join(f"{row.name} {row.config}" for row in ROWS)
    on_the_wire += source.partition("# Cases that need more than one request")[2].partition("# Requests may not")[0]
    on_the_wire += "".join(path.read_text(encoding="utf-8") for path in (tests / "channels").glob("*.py"))
    missing = [name for name in documented | options if name not in on_the_wire]
    assert missing == [], "a test beside the channel's in tests/channels that sets them in the configuration file"


BROKEN = """\
# 1
# 2
[templates.short]
text = "{{ notification.text | uper }}"

[receivers.oncall]
slack.webhook_ulr = { env = "SLACK_URL" }

[receivers.team]
discord.webhook_url = { env = "DISCORD_URL" }

[[routes]]
match = { level = "critical" }
receivers = ["onkall"]
"""


def test_the_errors_on_the_page_are_the_real_ones(tmp_path: Path) -> None:
    [shown] = [block.text for block in blocks(FILE_PAGE) if block.language == "text"]
    (tmp_path / "notifier.toml").write_text(BROKEN)
    done = run("check", "notifier.toml", cwd=tmp_path)
    assert done.lines()[:-1] == shown.splitlines()
