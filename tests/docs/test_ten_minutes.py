"""docs/ten-minutes.md: its commands run in an empty home, and two stand-ins each get a message."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.docs.documents import blocks
from tests.docs.reader import FIRST_STEPS, Reader
from tests.harness import ROOT, Standin, eventually

PAGE = (ROOT / "docs" / "ten-minutes.md").read_text(encoding="utf-8")
BLOCKS = blocks(PAGE)


@pytest.mark.timeout(180)
def test_the_page_ends_with_a_routed_message_and_a_group_at_two_stand_ins(standin: Standin, tmp_path: Path) -> None:
    reader = Reader(tmp_path, standin)
    serve, *installation = FIRST_STEPS
    assert serve.text.startswith("influxdb3 serve ")
    with reader.keeps_running(serve):
        outputs = reader.compare_all([*installation, *BLOCKS])
        eventually(lambda: len(standin.messages()) >= 3, "the group is notified")
    status = next(json.loads(text) for text in outputs if '"receivers"' in text and '"plugin_api"' in text)
    assert (status["status"], status["receivers"], status["warnings"]) == ("ok", ["oncall", "team"], [])
    messages = [(message["provider"], message["text"]) for message in standin.messages()]
    assert [provider for provider, _ in messages] == ["slack", "discord", "slack"]
    assert "CPU of db1 at 97 %" in messages[0][1]
    assert "Backup of db1 took 40 minutes" in messages[1][1]
    assert "[2 firing] region=eu" in messages[2][1]
    # Only the server's user can read the secrets.
    secrets = tmp_path / ".plugins" / "secrets"
    assert [path.stat().st_mode & 0o077 for path in (secrets, *secrets.iterdir())] == [0, 0, 0]


def test_the_file_on_the_page_is_the_example() -> None:
    [heredoc] = [
        block.text for block in BLOCKS if "> ~/.plugins/notifier.toml <<'END'" in block.text and ">>" not in block.text
    ]
    example = (ROOT / "examples" / "two-receivers.toml").read_text(encoding="utf-8")
    shown: Any = heredoc.split("<<'END'\n")[1].removesuffix("\nEND")
    assert example.partition("\n\n")[2].strip() == shown.strip()
