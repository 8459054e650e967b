"""Fixtures of the channels' tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels.channel import RequestSender
from tests.channels.mailserver import SmtpState, shared_server
from tests.contract.conftest import TWILIO_VARIABLES
from tests.harness import Standin, Triggers


@pytest.fixture
def request_sender(
    triggers: Triggers, standin: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RequestSender:
    """Sends requests to destinations at the stand-in."""
    for name in TWILIO_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return RequestSender(triggers, standin, tmp_path)


@pytest.fixture
def smtp_state() -> Iterator[SmtpState]:
    """The cleared state of the shared mail server. Checks at the end that no client violated the protocol."""
    shared_server().smtp_state.clear()
    yield shared_server().smtp_state
    problems = shared_server().smtp_state.problems
    shared_server().smtp_state.clear()
    assert problems == []
