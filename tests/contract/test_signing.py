"""The signatures that the Rust tests expect are those of the reference implementation, and it takes them.

The two sides meet in ``tests/vectors/standard_webhooks.json``: here its signatures are held against the
``standardwebhooks`` package; the http channel is held against it in ``tests/rust/tests/all/signing.rs``. Neither has
to run the other, and a difference names its row.
"""

import base64
import json
from datetime import UTC, datetime, tzinfo
from typing import Any

import pytest
import standardwebhooks.webhooks
from standardwebhooks import Webhook, WebhookVerificationError

from tests.harness import ROOT

VECTORS: list[dict[str, Any]] = json.loads(
    (ROOT / "tests" / "vectors" / "standard_webhooks.json").read_text(encoding="utf-8")
)
BY_NAME = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])


def headers(vector: dict[str, Any]) -> dict[str, str]:
    """The headers of the request."""
    return {
        "webhook-id": vector["webhook-id"],
        "webhook-timestamp": str(vector["timestamp"]),
        "webhook-signature": vector["webhook-signature"],
    }


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``at(seconds)`` sets the verifier's clock."""

    def at(seconds: int) -> None:
        class Stopped(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> "Stopped":
                return cls.fromtimestamp(seconds, tz=tz)

        monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Stopped)

    return at


@BY_NAME
def test_the_reference_implementation_signs_the_same(vector: dict[str, Any]) -> None:
    moment = datetime.fromtimestamp(vector["timestamp"], tz=UTC)
    signed = [Webhook(secret).sign(vector["webhook-id"], moment, vector["body"]) for secret in vector["secrets"]]
    assert " ".join(signed) == vector["webhook-signature"]


@BY_NAME
def test_each_of_the_keys_verifies_the_signature(vector: dict[str, Any], at: Any) -> None:
    at(vector["timestamp"] + 60)
    for secret in vector["secrets"]:
        assert Webhook(secret).verify(vector["body"], headers(vector)) == {"message": vector["notification_text"]}


@BY_NAME
def test_a_changed_message_is_not_verified(vector: dict[str, Any], at: Any) -> None:
    at(vector["timestamp"] + 60)
    (secret, *_) = vector["secrets"]
    other_key = "whsec_" + base64.b64encode(b"another key, as long as it must be").decode()
    changed = headers(vector) | {"webhook-timestamp": str(vector["timestamp"] + 1)}
    for key, body, given in [
        (other_key, vector["body"], headers(vector)),
        (secret, vector["body"] + " ", headers(vector)),
        (secret, vector["body"], changed),
        (secret, vector["body"], headers(vector) | {"webhook-id": "another"}),
    ]:
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(body, given)
    at(vector["timestamp"] + 301)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret).verify(vector["body"], headers(vector))
