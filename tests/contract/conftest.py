"""What every table of the contract stands on."""

import pytest

TWILIO_VARIABLES = ("TWILIO_SID", "TWILIO_TOKEN", "TWILIO_EDGE", "TWILIO_REGION")


@pytest.fixture(autouse=True)
def _no_credentials_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that leave a credential out mean that there is none."""
    for name in TWILIO_VARIABLES:
        monkeypatch.delenv(name, raising=False)
