"""Fixtures of the channels' tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels.channel import Sender
from tests.channels.mailserver import Book, shared
from tests.contract.conftest import TWILIO_VARIABLES
from tests.harness import Standin, Triggers


@pytest.fixture
def sender(triggers: Triggers, standin: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sender:
    """Sends to any destination at the stand-in."""
    for name in TWILIO_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return Sender(triggers, standin, tmp_path)


@pytest.fixture
def book() -> Iterator[Book]:
    """What the mail server that all tests share knows, which is nothing yet; nothing that a server need not bear."""
    shared().book.clear()
    yield shared().book
    problems = shared().book.problems
    shared().book.clear()
    assert problems == []
