"""The introductory pages: their commands run, and each page is complete."""

import json
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.documents import blocks
from tests.docs.reader import Reader
from tests.harness import ROOT, Standin, free_port, standin_program, until_json_line

DOCS = ROOT / "docs"
# The image's command runs here as it is, but for the place of the plugins.
DOCKER = """#!/bin/sh
case "$1" in
run) until [ "$1" = influxdb:3-core ]; do shift; done && shift ;;
exec)
	shift
	if [ "$1" = --env ]; then shift 2; fi
	shift
	;;
esac
for word; do
	shift
	case "$word" in /plugins*) word="$HOME/.plugins${word#/plugins}" ;; /var/lib/*) word="$HOME/data" ;; esac
	set -- "$@" "$word"
done
exec "$@"
"""


@pytest.mark.timeout(180)
def test_the_five_minutes_page_ends_with_a_message_at_slack(standin: Standin, tmp_path: Path) -> None:
    serve, *rest = blocks((DOCS / "five-minutes.md").read_text(encoding="utf-8"))
    reader = Reader(tmp_path, standin)
    with reader.keeps_running(serve):
        reader.compare_all(rest)
    assert [(message["provider"], message["text"]) for message in standin.messages()] == [
        ("slack", "Hello from InfluxDB 3")
    ]


@pytest.mark.timeout(180)
def test_each_way_of_installing_ends_with_status_ok(standin: Standin, tmp_path: Path) -> None:
    page = blocks((DOCS / "install.md").read_text(encoding="utf-8"))
    by_heading = {heading: [block for block in page if block.heading == f"## {heading}"] for heading in HEADINGS}
    assert [len(found) for found in by_heading.values()] == [3, 1, 1]
    reader = Reader(tmp_path, standin, {"docker": DOCKER})
    [docker] = by_heading["Docker"]
    run, _, execute = docker.text.partition("\nexport ")
    docker.text = run
    with reader.keeps_running(docker):
        docker.text = f"export {execute}"
        reader.types(docker)
        package, trigger, status = by_heading["Core"]
        assert json.loads(reader.types(status))["status"] == "ok"
        # The package and the file are there now, and installing them again is no error.
        reader.types(package)
        # The same trigger with another path.
        trigger.text = trigger.text.replace("request:notify", "request:again").replace(" notify", " again")
        reader.types(trigger)
        [nodes] = by_heading["Enterprise"]
        reader.types(nodes)
        status.text = status.text.replace("/notify?", "/again?")
        assert reader.types(status).startswith('{"status": "ok"')


HEADINGS = ("Core", "Docker", "Enterprise")


@pytest.mark.timeout(60)
def test_the_page_on_adding_a_channel_ends_with_a_message(standin: Standin, tmp_path: Path) -> None:
    page = blocks((DOCS / "adding-a-channel.md").read_text(encoding="utf-8"))
    *servers, send = [block for block in page if block.heading == "## Send a message"]
    here = {"target/debug/standin": str(standin_program()), ".venv/bin/python": sys.executable}
    here |= {port: str(free_port()) for port in ("8080", "8181")}
    for block in (*servers, send):
        for shown, real in here.items():
            block.text = block.text.replace(shown, real)
    with ExitStack() as stack:
        for server in servers:
            words = shlex.split(server.text)
            process = subprocess.Popen(words, cwd=DOCS.parent, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.terminate)
            until_json_line(process)
        output = Reader(tmp_path, standin).types(send)
    assert '"outcome": "delivered"' in output
    assert '"text":"hello"' in output


def test_the_upgrading_page_uses_commands_of_the_other_pages() -> None:
    install, file = (block.text.strip() for block in blocks((DOCS / "upgrading.md").read_text(encoding="utf-8")))
    assert f"\n{install}\n" in (DOCS / "install.md").read_text(encoding="utf-8")
    assert file == "~/.plugins/.venv/bin/influxdb3-notifier install-plugin --force ~/.plugins"


# Troubleshooting


def test_troubleshooting_has_every_error_code_and_no_other() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8").partition("## By error code")[2]
    documented = re.findall(r"^- `(\w+)` \((?:\d{3}|log)\):", page, re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert set(documented) == error_codes()


def error_codes() -> set[str]:
    """The codes in the sources: of request errors, and of the plugin file."""
    found = {"wheel_missing"}
    for place in ("core/src/alerts", "core/src/api", "core/src/plugin", "src", "core/src/routing", "core/src/config"):
        for file in (ROOT / place).rglob("*.rs"):
            text = file.read_text(encoding="utf-8").partition("#[cfg(test)]\nmod tests {")[0]
            found |= set(re.findall(r'\bcode: "(\w+)"', text))
            if place in ("core/src/api", "core/src/plugin", "src"):
                found |= set(re.findall(r'\b(?:unusable|error)\(\s*"([a-z_]+)",', text))
    return found
