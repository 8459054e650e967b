"""Fixtures of the contract tests."""

import pytest

TWILIO_VARIABLES = ("TWILIO_SID", "TWILIO_TOKEN", "TWILIO_EDGE", "TWILIO_REGION")


@pytest.fixture(autouse=True)
def _without_twilio_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove Twilio's variables, so that a case without credentials has none."""
    for name in TWILIO_VARIABLES:
        monkeypatch.delenv(name, raising=False)
