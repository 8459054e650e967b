"""Replies of a mail server, encryption, and login."""

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.channels.channel import FAST, RequestSender
from tests.channels.mailserver import PASSWORD, MailServer, SmtpRule, SmtpState, authority, shared_server
from tests.channels.test_email import CHANNEL, at, needs_config_file, send
from tests.harness import free_port

pytestmark = pytest.mark.usefixtures("smtp_state")


# Replies of the server


@dataclass
class Said:
    """A reply at a stage, and the expected result."""

    stage: str
    reply: str
    reason: str
    hint: str = ""
    outcome: str = "failed"
    attempts: int = 1


PERMANENT = [
    Said("GREETING", "554 5.7.1 you are on a list", "forbidden"),
    Said("EHLO", "550 5.7.1 go away", "forbidden"),
    Said("STARTTLS", "501 5.5.2 syntax", "rejected"),
    Said("AUTH", "535 5.7.8 Username and Password not accepted", "unauthorized", "app password"),
    Said("AUTH", "534 5.7.9 Application-specific password required", "unauthorized", "app password"),
    Said("AUTH", "504 5.5.4 unrecognized type", "unauthorized", "app password"),
    Said("AUTH", "535 5.7.3 Authentication unsuccessful", "unauthorized", "app password"),
    # Of one provider alone.
    Said(
        "AUTH", "550 5.7.30 Basic authentication is not supported for Client Submission.", "unauthorized", "by a relay"
    ),
    Said("AUTH", "535 5.7.139 Authentication unsuccessful", "unauthorized", "enable Authenticated SMTP"),
    Said("AUTH", "535 5.7.8 Username and Password not accepted. x - gsmtp", "unauthorized", "need 2-Step Verification"),
    Said("AUTH", "534 5.7.9 Application-specific password required. x - gsmtp", "unauthorized", "/apppasswords"),
    Said("MAIL", "530 5.7.57 Client not authenticated to send mail.", "unauthorized", "email_username"),
    Said("MAIL", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "forbidden", "(Send As)"),
    Said(
        "MESSAGE", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "forbidden", "(Send As)"
    ),
    Said("MAIL", "530 5.7.0 Authentication required", "unauthorized", "email_username and email_password"),
    Said("MAIL", "553 5.7.1 Sender address rejected: not owned by user", "forbidden", "may send for"),
    Said("MAIL", "550 5.1.8 bad sender", "forbidden", "may send for"),
    Said("MAIL", "552 5.3.4 too big", "too_large"),
    Said("RCPT", "550 5.1.1 no such user", "unknown_destination", "no such mailbox"),
    Said("RCPT", "551 5.1.6 moved", "unknown_destination", "no such mailbox"),
    Said("RCPT", "553 5.1.3 bad address", "unknown_destination", "no such mailbox"),
    Said("RCPT", "554 5.7.1 Relay access denied", "forbidden", "to take mails from this one"),
    Said("RCPT", "554 no relaying", "forbidden", "to take mails from this one"),
    Said("RCPT", "550 5.7.1 Relaying denied", "forbidden", "to take mails from this one"),
    Said("DATA", "554 5.5.1 no valid recipients", "rejected"),
    Said("MESSAGE", "554 5.7.1 looks like spam", "forbidden"),
    Said("MESSAGE", "550 5.6.0 bad content", "rejected"),
    Said("MESSAGE", "552 5.3.4 Message size exceeds fixed limit", "too_large"),
    Said("MESSAGE", "554 5.3.4 Message too big", "too_large"),
    # The server has accepted the mail, and this reply does not mention it.
    Said("MESSAGE", "354 go on", "lost_reply", outcome="ambiguous"),
]
TRANSIENT = [
    Said("GREETING", "421 4.3.2 closing", "try_later"),
    Said("EHLO", "421 4.7.0 too many connections", "try_later"),
    Said("STARTTLS", "454 4.7.0 TLS not available due to temporary reason", "try_later"),
    Said("AUTH", "454 4.7.0 temporary authentication failure", "try_later"),
    Said("MAIL", "451 4.3.0 local error", "try_later"),
    Said("MAIL", "452 4.3.1 out of storage", "try_later"),
    Said("RCPT", "450 4.2.0 greylisted", "try_later"),
    Said("RCPT", "452 4.2.2 mailbox full", "try_later"),
    Said("RCPT", "552 too many recipients", "try_later"),
    Said("DATA", "451 4.3.0 later", "try_later"),
    Said("MESSAGE", "421 4.3.0 shutting down", "try_later"),
    Said("MESSAGE", "451 4.7.1 try again", "try_later"),
    # Neither success nor failure. A client that continued after the last reply would send the mail's lines as commands.
    Said("MAIL", "354 go on", "malformed_reply", "email_port"),
    Said("RCPT", "334 VXNlcm5hbWU6", "malformed_reply", "email_port"),
    Said("DATA", "250 2.0.0 Ok", "malformed_reply", "email_port"),
]


def said(row: Said) -> str:
    """A test's name."""
    return f"{row.stage}-{row.reply[:11]}"


@pytest.mark.parametrize("row", PERMANENT + TRANSIENT, ids=said)
def test_the_meaning_of_a_reply_depends_on_its_stage(
    row: Said, request_sender: RequestSender, smtp_state: SmtpState
) -> None:
    smtp_state.rules.append(SmtpRule(row.stage, row.reply))
    server = shared_server()
    credentials = {"email_username": "alerts", "email_password": PASSWORD} if row.stage == "AUTH" else {}
    entry = request_sender.send([(CHANNEL, at(server, **credentials))], FAST).entry
    assert (entry["outcome"], entry["reason"]) == (row.outcome, row.reason), entry
    assert entry["attempts"] == (2 if row in TRANSIENT else 1)
    assert entry["http_status"] is None
    assert f"SMTP {row.reply[:3]}: {row.reply[4:]}" in entry["detail"], entry
    assert row.hint in entry["hint"], entry
    # A rejection before the message means that nothing was sent.
    assert len(smtp_state.mails) == (entry["attempts"] if row.stage == "MESSAGE" else 0)
    if row.stage not in ("GREETING", "EHLO", "STARTTLS"):
        smtp_state.wait_for_quit()


def test_a_temporary_failure_is_retried_until_delivery(request_sender: RequestSender, smtp_state: SmtpState) -> None:
    smtp_state.rules.append(SmtpRule("RCPT", "450 4.2.0 greylisted", times=2))
    entry = send(request_sender, arguments={**FAST, "max_attempts": "10"})
    assert (entry["outcome"], entry["attempts"], len(smtp_state.mails)) == ("delivered", 3, 1)


@pytest.mark.parametrize("reply", ["HTTP/1.1 400 Bad Request", "xyz", "2", "25é", "250?", "", "220-" * 30000])
@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "MESSAGE"])
def test_bytes_that_are_no_smtp_reply_are_no_success(
    stage: str, reply: str, request_sender: RequestSender, smtp_state: SmtpState
) -> None:
    smtp_state.rules.append(SmtpRule(stage, reply))
    entry = send(request_sender)
    if stage == "MESSAGE":
        # The server may have accepted it.
        assert (entry["outcome"], entry["attempts"], len(smtp_state.mails)) == ("ambiguous", 1, 1), entry
    else:
        assert (entry["outcome"], entry["reason"]) == ("failed", "malformed_reply"), entry
        assert "email_port" in entry["hint"]


# When the connection breaks


@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_the_dot_is_retried(
    stage: str, request_sender: RequestSender, smtp_state: SmtpState
) -> None:
    smtp_state.rules.append(SmtpRule(stage, None, times=1))
    entry = send(request_sender)
    assert (entry["outcome"], entry["attempts"], len(smtp_state.mails)) == ("delivered", 2, 1), entry


def test_a_connection_lost_after_the_dot_is_not_sent_again(
    request_sender: RequestSender, smtp_state: SmtpState
) -> None:
    smtp_state.rules.append(SmtpRule("MESSAGE", None))
    entry = send(request_sender)
    assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("ambiguous", "lost_reply", 1), entry
    assert [name for name, _ in smtp_state.commands].count("DATA") == 1
    # A mail server has no lookup, so nothing allows a second mail.
    again = send(request_sender, arguments={**FAST, "on_ambiguous": "resend"})
    assert (again["outcome"], again["attempts"]) == ("ambiguous", 1), again


def test_the_attempt_timeout_covers_everything_up_to_the_final_dot(
    request_sender: RequestSender, smtp_state: SmtpState
) -> None:
    limits = {**FAST, "attempt_timeout": "300ms", "max_attempts": "1"}
    smtp_state.rules.append(SmtpRule("MESSAGE", "250 2.0.0 Ok: queued as SLOW", after=1))
    entry = send(request_sender, arguments=limits)
    assert (entry["outcome"], entry["message_id"], len(smtp_state.mails)) == ("delivered", "SLOW", 1), entry
    assert entry["elapsed_ms"] >= 1000
    smtp_state.rules.append(SmtpRule("RCPT", "250 2.1.5 Ok", after=1))
    entry = send(request_sender, arguments=limits)
    assert (entry["outcome"], entry["reason"]) == ("failed", "timeout"), entry
    assert entry["elapsed_ms"] < 900


def test_a_refused_connection_is_retried(request_sender: RequestSender) -> None:
    entry = request_sender.send([(CHANNEL, at(shared_server(), email_port=free_port()))], FAST).entry
    assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "connect", 2), entry


# Encryption


def test_nothing_is_sent_in_clear_unless_the_file_allows_it(request_sender: RequestSender) -> None:
    server = MailServer(None)
    for tls in ("starttls", "tls"):
        entry = request_sender.send(
            [(CHANNEL, at(server, email_tls=tls, email_username="alerts", email_password=PASSWORD))], FAST
        ).entry
        assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "tls", 1), entry
    assert server.smtp_state.commands == [("EHLO", False)]
    assert server.smtp_state.mails == []


def test_replies_from_before_encryption_are_not_used_after_it(
    request_sender: RequestSender, smtp_state: SmtpState
) -> None:
    """Words put behind the answer to STARTTLS, in clear, are not part of the conversation (CVE-2011-0411's kind)."""
    smtp_state.rules.append(SmtpRule("STARTTLS", "220 ready\r\n250-mail.example.com\r\n250 AUTH PLAIN"))
    entry = send(request_sender)
    assert entry["outcome"] == "failed", entry
    assert smtp_state.mails == []


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("other name", "is for another name"),
        ("expired", "has expired"),
        ("unknown issuer", "an issuer that is not trusted here"),
    ],
)
def test_a_wrong_certificate_fails_at_once_with_its_cause(
    tls: str, fault: str, sentence: str, request_sender: RequestSender
) -> None:
    long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    leaf = {
        "other name": lambda: authority().issue_cert("other.example"),
        "expired": lambda: authority().issue_cert("localhost", not_before=long_ago, not_after=long_ago.replace(2021)),
        "unknown issuer": lambda: trustme.CA().issue_cert("localhost"),
    }[fault]()
    server = MailServer(tls, leaf=leaf)
    entry = request_sender.send([(CHANNEL, at(server, email_tls=tls))], FAST).entry
    assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "tls", 1), entry
    assert sentence in entry["detail"]
    assert server.smtp_state.mails == []
    assert [
        name for name, encrypted in server.smtp_state.commands if encrypted or name not in ("EHLO", "STARTTLS")
    ] == []


def test_without_ca_file_a_private_authority_is_not_trusted(request_sender: RequestSender, tmp_path: Path) -> None:
    configuration = {key: value for key, value in at(shared_server()).items() if key != "ca_file"}
    [entry] = needs_config_file(request_sender, tmp_path, configuration).json["deliveries"]
    assert (entry["outcome"], entry["reason"]) == ("failed", "tls")


# Authentication


@dataclass
class Login:
    """A server and an account, and the expected result."""

    options: dict[str, Any]
    password: str | None
    outcome: tuple[str, str | None]
    words: str = ""
    login: str | None = field(default=None)


@pytest.mark.parametrize(
    "case",
    [
        Login({"auth_required": True}, PASSWORD, ("delivered", None), login="alerts ü"),
        Login({"auth_exclude_mechanism": ["PLAIN"]}, PASSWORD, ("delivered", None), login="alerts ü"),
        Login({}, "wrong", ("failed", "unauthorized"), "SMTP 535"),
        Login({"auth_required": True}, None, ("failed", "unauthorized"), "SMTP 530"),
        Login({"auth_exclude_mechanism": ["PLAIN", "LOGIN"]}, PASSWORD, ("failed", "unauthorized"), "no way to log in"),
    ],
    ids=["plain", "login", "wrong", "none", "no mechanism"],
)
@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_an_account_logs_in(tls: str, case: Login, request_sender: RequestSender) -> None:
    server = MailServer(tls, **case.options)
    account = {} if case.password is None else {"email_username": "alerts ü", "email_password": case.password}
    entry = request_sender.send([(CHANNEL, at(server, email_tls=tls, **account))], FAST).entry
    assert (entry["outcome"], entry["reason"]) == case.outcome, entry
    assert case.words in (entry["detail"] or "")
    assert [mail.login for mail in server.smtp_state.mails] == ([case.login] if case.outcome[1] is None else [])


@pytest.mark.parametrize(
    ("given", "missing"), [("email_username", "email_password"), ("email_password", "email_username")]
)
def test_a_username_without_a_password_is_an_error(given: str, missing: str, request_sender: RequestSender) -> None:
    configuration = {"email_host": "smtp.example.com", "email_from": "a@example.com", "email_to": "b@example.com"}
    body = {"notification_text": "hi", "senders_config": {"email": {**configuration, given: "x"}}, "dry_run": True}
    [entry] = request_sender.trigger({}).notify(body).json["deliveries"]
    assert (entry["reason"], entry["path"]) == ("invalid_config", f"senders_config.email.{missing}")
