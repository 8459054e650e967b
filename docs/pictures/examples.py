"""The rich example of docs/channels.md, and each channel's message for it."""

import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests import harness
from tests.engine_host.host import EngineHost

DOCS = Path(__file__).resolve().parent.parent
IMAGES = DOCS / "images"
DRAWN = IMAGES / "drawn.json"
DRAWN_SENDERS = ("slack", "discord", "sms", "whatsapp")
"""The channels with a picture. An http webhook has none, because its receiver decides the appearance."""


def section(sender: str) -> str:
    """A section of docs/channels.md."""
    document = (DOCS / "channels.md").read_text(encoding="utf-8")
    return document.partition(f"\n## {sender}\n")[2].partition("\n## ")[0]


def rich_example(sender: str) -> dict[str, Any]:
    """The request under "Rich notifications" to the destination in the channel's section."""
    [rich] = [request for request in _requests("Rich notifications") if "title" in request]
    return {**rich, "senders_config": _requests(sender)[0]["senders_config"]}


def _requests(heading: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", section(heading), re.DOTALL)]


def payloads(senders: tuple[str, ...]) -> dict[str, str]:
    """The body of the rich example's message by channel, from a dry run."""
    with tempfile.TemporaryDirectory() as plugin_dir:
        shutil.copy(harness.PLUGIN, plugin_dir)
        with EngineHost(Path(plugin_dir)) as engine:
            engine.create_trigger("notify", arguments={"dry_run": "true"})
            return {sender: _preview(engine, sender) for sender in senders}


def _preview(engine: EngineHost, sender: str) -> str:
    answer = harness.post(engine, rich_example(sender)).json
    [delivery] = answer["deliveries"]
    assert (answer["warnings"], delivery["parts"]) == ([], 1), answer
    return str(delivery["preview"]["body"])


def digest(payload: str) -> str:
    """The part of a payload for the picture, from :data:`DRAWN`."""
    return hashlib.sha256(payload.encode()).hexdigest()
