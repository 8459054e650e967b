"""Invalid certificates, each with one error, at an engine that trusts the test's authority (SSL_CERT_FILE)."""

import datetime
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.faults.isolation import IsolationCheck, best_of_three
from tests.harness import ProcessEngine, Standin, Triggers

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The authority that the engine trusts."""
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessEngine]:
    """An engine with the authority in its SSL_CERT_FILE."""
    directory: Path = tmp_path_factory.mktemp("trusting")
    (directory / "ca.pem").write_bytes(authority.cert_pem.bytes())
    with ProcessEngine(directory, environment={"SSL_CERT_FILE": str(directory / "ca.pem")}) as engine:
        yield engine
    assert "internal error at" not in engine.errors()


@pytest.fixture
def tls_isolation(trusting: ProcessEngine, standin: Standin) -> Iterator[IsolationCheck]:
    """An isolation check on the engine that trusts the test authority."""
    with ExitStack() as stack:
        yield IsolationCheck(Triggers(trusting, stack), standin)


def served(standin: Standin, leaf: trustme.LeafCert) -> str:
    """The address of the stand-in with that certificate."""
    chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    return str(standin.tls(chain, leaf.private_key_pem.bytes())["url"]) + "/"


@best_of_three
def test_an_authority_in_ssl_cert_file_is_trusted(tls_isolation: IsolationCheck, authority: trustme.CA) -> None:
    url = served(tls_isolation.standin, authority.issue_cert("localhost"))
    result = tls_isolation.check({"http": {"http_webhook_url": f"{url}hook/trusted"}})
    assert result.entry["outcome"] == "delivered"
    assert [request["tls"] for request in tls_isolation.standin.requests("/hook/trusted")] == [True]


@pytest.mark.parametrize("sender", ["http", "slack", "sms"])
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("expired", "has expired"),
        ("not yet valid", "not valid yet"),
        ("wrong name", "is for another name"),
        ("unknown issuer", "an issuer that is not trusted here"),
        ("plain HTTP", "does not speak TLS on this port"),
    ],
)
@best_of_three
def test_an_invalid_certificate_fails_at_once_with_its_cause(
    tls_isolation: IsolationCheck, authority: trustme.CA, sender: str, fault: str, sentence: str
) -> None:
    standin = tls_isolation.standin
    port = None
    match fault:
        case "expired":
            url = served(
                standin, authority.issue_cert("localhost", not_before=LONG_AGO, not_after=LONG_AGO.replace(2021))
            )
        case "not yet valid":
            far = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=400)
            url = served(
                standin, authority.issue_cert("localhost", not_before=far, not_after=far + datetime.timedelta(days=30))
            )
        case "wrong name":
            url = served(standin, authority.issue_cert("other.example"))
        case "unknown issuer":
            url = served(standin, trustme.CA().issue_cert("localhost"))
        case _:
            opened = standin.fault("plain_text")
            url, port = opened["url"].replace("http://127.0.0.1", "https://localhost"), opened["port"]
    # A TLS handshake in a debug build on a busy machine takes its time.
    result = tls_isolation.check_at(sender, url, connect_timeout="1s", attempt_timeout="1s")
    assert (result.entry["outcome"], result.entry["reason"], result.entry["attempts"]) == ("failed", "tls", 1)
    assert sentence in result.entry["detail"]
    # A certificate that is in order is no advice where none was shown.
    assert ("http://" if fault == "plain HTTP" else "SSL_CERT_FILE") in result.entry["hint"]
    assert ("certificate" in result.entry["hint"]) == (fault != "plain HTTP")
    assert not [request for request in standin.requests() if request["tls"]], "nothing was sent"
    if port is not None:
        assert standin.fault_report(port)["connections"] == 1, "no fallback to plain"


@pytest.mark.parametrize("store", ["missing", "empty", "garbage"])
@best_of_three
def test_an_unreadable_certificate_store_is_named_and_affects_nothing_else(
    standin: Standin, tmp_path_factory: pytest.TempPathFactory, store: str
) -> None:
    """Certificates are rejected with the reason. Plain HTTP works."""
    directory: Path = tmp_path_factory.mktemp(store)
    path = directory / "ca.pem"
    if store != "missing":
        path.write_text("" if store == "empty" else "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    (directory / "certs").mkdir()
    environment = {"SSL_CERT_FILE": str(path), "SSL_CERT_DIR": str(directory / "certs")}
    with ProcessEngine(directory, environment=environment) as engine, ExitStack() as stack:
        isolation = IsolationCheck(Triggers(engine, stack), standin)
        url = served(standin, trustme.CA().issue_cert("localhost"))
        result = isolation.check_at("http", url, connect_timeout="1s", attempt_timeout="1s")
    assert (result.entry["outcome"], result.entry["reason"], result.entry["attempts"]) == ("failed", "tls", 1)
    assert "this host's own store of certificates is empty or cannot be read" in result.entry["detail"]
    assert "SSL_CERT_FILE" in result.entry["detail"]
