"""Statements of the pages that no other test checks."""

import re
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.harness import ROOT, Standin, Triggers

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def page(name: str) -> str:
    """A page's text with blanks in place of line ends."""
    return " ".join((ROOT / name).read_text(encoding="utf-8").split())


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_documented_statuses_include_acknowledged(document: Path) -> None:
    text = " ".join(document.read_text(encoding="utf-8").split())
    assert re.findall(r"`?firing`? (?:or|and) `?resolved`?[,.| ]", text) == []


@pytest.mark.parametrize("name", ["README.md"])
def test_the_install_page_shows_how_to_see_pips_output(name: str) -> None:
    text = page(name)
    # The engine drops it: neither the server's output nor the command has it.
    assert re.search(r"`PLUGIN_DIR/\.venv/bin/pip install influxdb3-notifier==[\d.]+`", text)
    assert "server's own output" not in text


def test_an_upgrade_writes_the_plugin_file_after_the_restart() -> None:
    text = page("docs/upgrading.md")
    steps = ["CHANGELOG.md", "influxdb3 install package", "Restart the server", "install-plugin --force"]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)


def test_an_unknown_receiver_gets_the_documented_error(triggers: Triggers, standin: Standin, tmp_path: Path) -> None:
    section = page("docs/reasons.md").partition("### unknown_receiver ")[2].partition(" ### ")[0]
    assert '`results` says `"Invalid sender"` under that name; `detail` suggests the nearest name.' in section
    assert "or the trigger has no configuration file" in section
    file = tmp_path / "notifier.toml"
    file.write_text(f'[receivers.oncall.http]\nwebhook_url = "{standin.url}/hook/a"\n')
    for arguments in ({"config_file_path": str(file)}, {}):
        trigger = triggers.create(arguments)
        response = trigger.notify({"notification_text": "x", "receivers": ["oncal"]}).json
        [entry] = response["deliveries"]
        assert (response["results"], entry["reason"]) == ({"oncal": "Invalid sender"}, "unknown_receiver")
        assert ("did you mean oncall?" in entry["detail"]) == bool(arguments)
    assert "`?view=status` lists the receivers that are known" in section
    known = triggers.create({"config_file_path": str(file)}).notify(b"", query={"view": "status"}, method="GET")
    assert known.json["receivers"] == ["oncall"]


@pytest.mark.parametrize(
    ("notified", "receivers"),
    [
        (["--level", "critical", "--status", "firing"], ["oncall", "channel"]),
        (["--level", "critical", "--status", "firing", "--field", "host=db1"], ["dba", "oncall", "channel"]),
        (["--level", "warning", "--field", "host=db1"], ["dba", "channel"]),
        (["--level", "info"], ["channel"]),
        ([], ["channel"]),
    ],
)
def test_the_on_call_example_notifies_the_documented_receivers(notified: list[str], receivers: list[str]) -> None:
    file = ROOT / "examples" / "oncall.toml"
    head = file.read_text(encoding="utf-8").splitlines()[0]
    assert (
        head == "# Who is on call gets an SMS for what is critical, a channel gets everything, planned work is silent."
    )
    done = run("routes", str(file), *notified, "--at", "2026-11-25T12:00:00Z")
    assert done.status == 0, done.err
    named = [line.partition(":")[0] for line in done.lines() if " matches -> " in line]
    assert named == receivers
