"""The pictures of docs/channels.md and the body for http are those of the current code."""

import json
import re

import pytest

from docs.pictures.examples import DRAWN, DRAWN_SENDERS, IMAGES, digest, payloads, rich_example, section
from tests.docs.documents import blocks
from tests.harness import ROOT

MAX_BYTES = 60_000
OVERVIEW = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bodies() -> dict[str, str]:
    """The rich example's message of each channel."""
    return payloads((*DRAWN_SENDERS, "http"))


@pytest.mark.parametrize("sender", DRAWN_SENDERS)
def test_a_picture_shows_the_sent_message(sender: str, bodies: dict[str, str]) -> None:
    drawn = json.loads(DRAWN.read_text(encoding="utf-8"))
    assert list(drawn) == list(DRAWN_SENDERS)
    assert drawn[sender] == digest(bodies[sender]), (
        f"another message than the one that is drawn; make pictures: {bodies[sender]}"
    )


@pytest.mark.parametrize("sender", DRAWN_SENDERS)
def test_a_picture_is_small_is_in_its_section_and_has_an_alternative_text(sender: str) -> None:
    picture = (IMAGES / f"{sender}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) <= MAX_BYTES
    [words] = re.findall(rf"^!\[(.+)\]\(images/{sender}\.png\)$", section(sender), re.MULTILINE)
    assert len(words) > 40


def test_the_documented_http_body_is_the_one_sent(bodies: dict[str, str]) -> None:
    [shown] = re.findall(r"```text\n(.*?)```", section("http"), re.DOTALL)
    assert list(json.loads(shown).items()) == list(json.loads(bodies["http"]).items())


def test_the_picture_of_the_overview_is_of_the_request_there() -> None:
    [request] = [json.loads(block.text) for block in blocks(OVERVIEW) if block.language == "json"]
    assert request.items() <= rich_example("slack").items()
