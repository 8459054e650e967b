"""The mail server of these tests is as strict as any in the wild."""

import smtplib
import ssl
from collections.abc import Iterator

import pytest

from tests.channels.mailserver import MailServer, authority

MESSAGE = b"From: a@example.com\r\nDate: x\r\nMessage-ID: <1@example.com>\r\n\r\nhi\r\n"


@pytest.fixture
def server() -> MailServer:
    return MailServer(enable_SMTPUTF8=True)


@pytest.fixture
def client(server: MailServer) -> Iterator[smtplib.SMTP]:
    """One that has encrypted its connection."""
    with smtplib.SMTP("localhost", server.port, local_hostname="client.example.com") as client:
        encrypt(client)
        yield client


def encrypt(client: smtplib.SMTP) -> None:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    client.starttls(context=context)
    client.ehlo()


@pytest.mark.parametrize("name", ["", "a b", "under_score", "-x.example", "[1.2.3]", "[example.com]", "x..example"])
def test_ehlo_wants_a_domain_or_an_address_literal(name: str, server: MailServer) -> None:
    with smtplib.SMTP("localhost", server.port) as client:
        assert client.docmd("EHLO", name)[0] == 501
    assert server.smtp_state.problems == ["501 5.5.4 Invalid domain name"]


@pytest.mark.parametrize("name", ["localhost", "db1.example.com", "[127.0.0.1]", "[IPv6:::1]", "xn--bcher-kva.example"])
def test_ehlo_takes_each_form(name: str, server: MailServer) -> None:
    with smtplib.SMTP("localhost", server.port) as client:
        assert client.docmd("EHLO", name)[0] == 250
    assert server.smtp_state.problems == []


@pytest.mark.parametrize(("tls", "code"), [("starttls", 530), (None, 538)])
def test_auth_is_neither_offered_nor_accepted_before_encryption(tls: str | None, code: int) -> None:
    server = MailServer(tls)
    with smtplib.SMTP("localhost", server.port, local_hostname="client.example.com") as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("AUTH", "PLAIN AGEAYg==")[0] == code


def test_smtputf8_is_refused_where_it_is_not_offered() -> None:
    server = MailServer()
    with smtplib.SMTP("localhost", server.port, local_hostname="client.example.com") as client:
        encrypt(client)
        assert not client.has_extn("smtputf8")
        assert client.docmd("MAIL", "FROM:<a@example.com> SMTPUTF8")[0] == 501
        client.command_encoding = "utf-8"
        assert client.docmd("MAIL", "FROM:<ä@example.com>")[0] == 500


def test_an_address_beyond_ascii_is_refused_unless_smtputf8_is_asked_for(
    client: smtplib.SMTP, server: MailServer
) -> None:
    client.command_encoding = "utf-8"
    assert client.docmd("MAIL", "FROM:<ä@example.com>")[0] == 553
    assert client.docmd("MAIL", "FROM:<a@example.com>")[0] == 250
    assert client.docmd("RCPT", "TO:<ä@example.com>")[0] == 553
    assert client.docmd("RSET")[0] == 250
    assert client.docmd("MAIL", "FROM:<ä@example.com> SMTPUTF8")[0] == 250
    assert client.docmd("RCPT", "TO:<ä@example.com>")[0] == 250
    assert len(server.smtp_state.problems) == 2


def test_each_mail_has_one_recipient(client: smtplib.SMTP) -> None:
    client.mail("a@example.com")
    assert client.rcpt("a@example.com")[0] == 250
    assert client.rcpt("b@example.com")[0] == 452


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        ("", MESSAGE, 250),
        ("", MESSAGE + b"x" * 998, 250),
        ("", MESSAGE + b"x" * 999, 500),
        ("", MESSAGE + b"a\nb", 550),
        ("", MESSAGE + b"a\rb", 550),
        ("", b"To: \xc3\xa4@example.com\r\n" + MESSAGE, 554),
        (" SMTPUTF8", b"To: \xc3\xa4@example.com\r\n" + MESSAGE, 554),
        (" SMTPUTF8 BODY=8BITMIME", b"To: \xc3\xa4@example.com\r\n" + MESSAGE, 250),
        ("", MESSAGE + b"\xc3\xa4", 554),
        (" BODY=8BITMIME", MESSAGE + b"\xc3\xa4", 250),
        ("", b"Bcc: b@example.com\r\n" + MESSAGE, 550),
        ("", b"From: b@example.com\r\n" + MESSAGE, 550),
        ("", MESSAGE.replace(b"Date: x\r\n", b""), 550),
    ],
)
def test_invalid_mails_are_detected(
    options: str, message: bytes, code: int, client: smtplib.SMTP, server: MailServer
) -> None:
    assert client.docmd("MAIL", f"FROM:<a@example.com>{options}")[0] == 250
    assert client.rcpt("a@example.com")[0] == 250
    assert client.docmd("DATA")[0] == 354
    client.send(message + b"\r\n.\r\n")
    assert client.getreply()[0] == code
    assert len(server.smtp_state.problems) == (0 if code == 250 else 1)
    assert len(server.smtp_state.mails) == (1 if code == 250 else 0)


def test_a_password_is_checked(client: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError):
        client.login("alerts", "wrong")
    client.login("alerts", "app-password")
