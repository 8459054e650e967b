"""docs/alert-tables.md: its commands run on an engine host."""

from functools import partial
from pathlib import Path

import pytest

from tests.docs.documents import blocks
from tests.docs.reader import FIRST_STEPS, HOME, Reader
from tests.harness import ROOT, Standin, eventually

PAGE = (ROOT / "docs" / "alert-tables.md").read_text(encoding="utf-8")
STEPS = blocks(PAGE.partition("## Columns")[0])
FULL = "The disk of db1 is full"
ROOM = "The disk of db1 has room again"


@pytest.mark.timeout(180)
def test_an_alert_table_notifies_slack_and_a_phone_with_digest_and_history(standin: Standin, tmp_path: Path) -> None:
    reader = Reader(tmp_path, standin)
    serve, *install = FIRST_STEPS

    def told(provider: str) -> list[str]:
        return [message["text"] for message in standin.messages() if message["provider"] == provider]

    def has_come(digest: str) -> bool:
        return any(digest in text for text in told("slack"))

    with reader.keeps_running(serve):
        for block in install:
            reader.types(block)
        output = ""
        for block in STEPS:
            if block.language == "bash":
                output = reader.types(block)
            elif block.text.startswith("and 5 more"):
                eventually(partial(has_come, block.text), block.text)
            else:
                assert output.strip() == block.text.replace(HOME, str(reader.home)).strip()
    slack = told("slack")
    assert [FULL in text for text in slack].count(True) == 1
    assert [ROOM in text for text in slack].count(True) == 1
    assert len(slack) == 2 + 3 + 1
    assert not [text for text in slack if "web9" in text]
    sms = told("twilio")
    assert sms[0].startswith(f"CRITICAL: {FULL}\nhost: db1\n")
    assert sms[1].startswith(f"RESOLVED: {ROOM}\nhost: db1\n")
    assert len(sms) == 2


def test_the_file_on_the_page_is_the_example() -> None:
    [shown] = [block.text for block in STEPS if "alert-table.toml <<'END'" in block.text]
    example = (ROOT / "examples" / "alert-table.toml").read_text(encoding="utf-8")
    assert example.partition("\n\n")[2].strip() == shown.split("<<'END'\n")[1].split("\nEND\n")[0].strip()
