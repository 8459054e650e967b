"""Who gets a mail, how addresses are written, and how the server is reached."""

import json
from email.headerregistry import Address, AddressHeader
from pathlib import Path
from typing import Any

import pytest

from tests.channels.channel import FAST, FIRING, KEY, RequestSender, toml
from tests.channels.mailserver import PASSWORD, MailServer, SmtpRule, SmtpState, shared_server
from tests.channels.test_email import CHANNEL, at, needs_config_file, send

pytestmark = pytest.mark.usefixtures("smtp_state")

TWO = ["a@example.com", "b@example.com"]


def delivered(response: Any) -> list[tuple[str, str]]:
    """Destination and outcome of each delivery."""
    return [(entry["destination"].removeprefix("email "), entry["outcome"]) for entry in response["deliveries"]]


def dry(request_sender: RequestSender, **configuration: Any) -> Any:
    """The error of a request for this configuration."""
    own = {"email_host": "smtp.example.com", "email_from": "alerts@example.com", "email_to": "a@example.com"}
    body = {"notification_text": "hi", "senders_config": {"email": {**own, **configuration}}, "dry_run": True}
    return request_sender.trigger({}).notify(json.dumps(body, ensure_ascii=False).encode()).json


def shown(header: Any) -> list[tuple[str, str]]:
    """Names and addresses of a header, as a mail program reads them."""
    assert isinstance(header, AddressHeader)
    return [(address.display_name, address.addr_spec) for address in header.addresses if isinstance(address, Address)]


# How addresses are written


NAMES = [
    ("DB team <oncall@example.com>", "DB team"),
    ("Doe, Jane <oncall@example.com>", "Doe, Jane"),
    ('"Doe, Jane" <oncall@example.com>', "Doe, Jane"),
    ("Jane (DB, ops) <oncall@example.com>", "Jane (DB, ops)"),
    ('Jane "JD" Doe <oncall@example.com>', 'Jane "JD" Doe'),
    (r'"Jane \"JD\" \\ Doe" <oncall@example.com>', r'Jane "JD" \ Doe'),
    ("oncall@example.com <oncall@example.com>", "oncall@example.com"),
    ("oncall@example.com (Doe, Jane)", "Doe, Jane"),
    ("Größe, 東京 😀 <oncall@example.com>", "Größe, 東京 😀"),
    ("x9; 100% [sic] <oncall@example.com>", "x9; 100% [sic]"),
    ("x" * 300 + " <oncall@example.com>", "x" * 300),
    ("ä" * 150 + " <oncall@example.com>", "ä" * 150),
]


@pytest.mark.parametrize("place", ["email_from", "email_to", "email_cc", "email_reply_to"])
def test_a_name_is_shown_as_it_was_written(
    place: str, request_sender: RequestSender, smtp_state: SmtpState, tmp_path: Path
) -> None:
    header = {"email_from": "From", "email_to": "To", "email_cc": "Cc", "email_reply_to": "Reply-To"}[place]
    configurations = [at(shared_server(), **{"email_to": "a@example.com", place: written}) for written, _ in NAMES]
    needs_config_file(request_sender, tmp_path, *configurations)
    got = {name for mail in smtp_state.mails for name, _ in shown(mail.message[header])}
    # Python's parser keeps the blanks between encoded words, which belong to no name (RFC 2047, 6.2).
    assert {name.replace(" ", "") for name in got} == {name.replace(" ", "") for _, name in NAMES}


@pytest.mark.parametrize("place", ["email_to", "email_cc", "email_bcc"])
@pytest.mark.parametrize(
    "written",
    [
        "Doe, Jane <a@example.com>, b@example.com",
        "a@example.com,b@example.com,",
        ["a@example.com", "b@example.com"],
        ["Doe, Jane <a@example.com>,b@example.com", "A@example.com"],
    ],
    ids=["names", "commas", "list", "mixed"],
)
def test_a_string_with_commas_and_a_list_make_the_same_recipients(
    place: str, written: Any, request_sender: RequestSender, smtp_state: SmtpState, tmp_path: Path
) -> None:
    own = {"email_to": "x@example.com"} | {place: written}
    response = needs_config_file(request_sender, tmp_path, at(shared_server(), **own)).json
    expected = TWO if place == "email_to" else ["x@example.com", *TWO]
    assert sorted(mail.recipient for mail in smtp_state.mails) == sorted(expected)
    assert len(response["deliveries"]) == len(expected)
    requested = dry(request_sender, **own)
    assert [one for one, _ in delivered(requested)] == [one for one, _ in delivered(response)]


def test_an_environment_variable_can_hold_a_list_of_addresses(
    request_sender: RequestSender, smtp_state: SmtpState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONCALL", "Doe, Jane <a@example.com>, b@example.com")
    (tmp_path / "cc").write_text("c@example.com\n", encoding="utf-8")
    own = at(shared_server(), email_to={"env": "ONCALL"}, email_cc={"file": str(tmp_path / "cc")})
    needs_config_file(request_sender, tmp_path, own)
    assert sorted(mail.recipient for mail in smtp_state.mails) == [*TWO, "c@example.com"]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("Doe, jane@example.com", "(j***@example.com) is ambiguous"),
        ("jane@example.com; joe@example.com", "(j***@example.com) holds several addresses; separate them by commas"),
        ("Jane jane@example.com", "(j***@example.com) has a blank or an invisible character in its address; if there"),
        ('Jane "JD <jane@example.com>', "a quote or a parenthesis that does not end"),
        ("Jane", "has no @ in its address; write user@example.com"),
    ],
)
@pytest.mark.parametrize("place", ["email_to", "email_cc", "email_bcc", "email_from", "email_reply_to"])
def test_an_ambiguous_address_is_refused_with_a_hint(
    place: str, written: str, words: str, request_sender: RequestSender
) -> None:
    entries = dry(request_sender, **{place: written})["deliveries"]
    entry = entries[-1]
    assert (entry["outcome"], entry["reason"]) == ("failed", "invalid_config"), entry
    assert entry["path"] == f"senders_config.email.{place}"
    assert entry["detail"].startswith(f"{place} ")
    assert words in entry["detail"]
    assert "jane@" not in entry["detail"]


def test_an_error_gives_the_position_of_an_invalid_address(request_sender: RequestSender) -> None:
    entries = dry(request_sender, email_to="a@example.com, b", email_cc=["c@example.com, d, e@example.com"])[
        "deliveries"
    ]
    assert [(entry["outcome"], entry.get("path")) for entry in entries] == [
        ("dry_run", None),
        ("failed", "senders_config.email.email_to"),
        ("dry_run", None),
        ("failed", "senders_config.email.email_cc[0]"),
    ]
    assert entries[1]["detail"].startswith("address 2 of email_to has no @")
    assert entries[3]["detail"].startswith("address 2 of email_cc (e***@example.com) is ambiguous")


# Cc and Bcc


def test_with_cc_all_recipients_see_to_and_cc_and_none_sees_bcc(
    request_sender: RequestSender, smtp_state: SmtpState, tmp_path: Path
) -> None:
    own = at(
        shared_server(),
        email_to=[*TWO],
        email_cc="Team <team@example.com>",
        email_bcc="archive@example.com, audit@example.com",
        email_reply_to=["DB <db@example.com>", "ops@example.com"],
    )
    response = needs_config_file(request_sender, tmp_path, own, **FIRING, dedup_key="cpu db1").json
    assert delivered(response) == [
        ("a***@example.com", "delivered"),
        ("b***@example.com", "delivered"),
        ("t***@example.com", "delivered"),
        ("a***@example.com", "delivered"),
        ("a***@example.com", "delivered"),
    ]
    everybody = [*TWO, "team@example.com", "archive@example.com", "audit@example.com"]
    assert sorted(mail.recipient for mail in smtp_state.mails) == sorted(everybody)
    for mail in smtp_state.mails:
        message = mail.message
        assert shown(message["To"]) == [("", "a@example.com"), ("", "b@example.com")]
        assert shown(message["Cc"]) == [("Team", "team@example.com")]
        assert shown(message["Reply-To"]) == [("DB", "db@example.com"), ("", "ops@example.com")]
        assert b"archive" not in mail.content
        assert b"audit" not in mail.content
    # It is one mail, in as many copies.
    assert len({mail.message["Message-ID"] for mail in smtp_state.mails}) == 1
    assert len({mail.message["References"] for mail in smtp_state.mails}) == 1


def test_without_cc_a_recipient_sees_only_itself_and_bcc_sees_all(
    request_sender: RequestSender, smtp_state: SmtpState, tmp_path: Path
) -> None:
    needs_config_file(request_sender, tmp_path, at(shared_server(), email_to=TWO, email_bcc="archive@example.com"))
    heads = {mail.recipient: [address for _, address in shown(mail.message["To"])] for mail in smtp_state.mails}
    assert heads == {"a@example.com": TWO[:1], "b@example.com": TWO[1:], "archive@example.com": TWO}
    assert all(mail.message["Cc"] is None for mail in smtp_state.mails)
    assert len({mail.message["Message-ID"] for mail in smtp_state.mails}) == 3


def test_a_resolved_is_in_every_recipients_thread(
    request_sender: RequestSender, smtp_state: SmtpState, tmp_path: Path
) -> None:
    own = at(shared_server(), email_to="a@example.com", email_cc="team@example.com")
    for status in ("firing", "resolved"):
        needs_config_file(request_sender, tmp_path, own, **{**FIRING, "status": status}, dedup_key="cpu db1")
    assert len(smtp_state.mails) == 4
    assert len({mail.message["References"] for mail in smtp_state.mails}) == 1
    assert len({mail.message["Message-ID"] for mail in smtp_state.mails}) == 2


def test_an_address_in_several_lists_gets_one_mail(request_sender: RequestSender, smtp_state: SmtpState) -> None:
    own = at(
        shared_server(),
        email_to="a@example.com",
        email_cc=["A@example.com", "c@example.com"],
        email_bcc="c@example.com",
    )
    lines = f"[receivers.r]\nemail = {toml(own)}\n"
    path = request_sender._directory / "twice.toml"
    path.write_text(lines, encoding="utf-8")
    trigger = request_sender.trigger({**FAST, "config_file_path": str(path)})
    response = trigger.notify({"notification_text": "hi", "receivers": ["r"]}).json
    assert [mail.recipient for mail in sorted(smtp_state.mails, key=lambda mail: mail.recipient)] == [
        "a@example.com",
        "c@example.com",
    ]
    assert len(response["deliveries"]) == 2
    said = dry(request_sender, email_to="a@example.com, A@example.com")
    assert len(said["deliveries"]) == 1
    assert "senders_config.email.email_to: an address stands twice; it gets one message" in said["warnings"]


@pytest.mark.parametrize("stage", ["RCPT", "MESSAGE"])
def test_a_retry_sends_only_to_recipients_without_the_mail(
    stage: str, request_sender: RequestSender, smtp_state: SmtpState, tmp_path: Path
) -> None:
    smtp_state.rules += [
        SmtpRule(stage, "451 4.3.0 later", "team@example.com", times=1),
        SmtpRule("RCPT", "550 5.1.1 no such user", "gone@example.com"),
    ]
    own = at(
        shared_server(),
        email_to="a@example.com",
        email_cc="team@example.com, gone@example.com",
        email_bcc="b@example.com",
    )
    response = needs_config_file(request_sender, tmp_path, own, idempotency_key=KEY).json
    entries = [(entry["outcome"], entry["attempts"]) for entry in response["deliveries"]]
    assert entries == [("delivered", 1), ("delivered", 2), ("failed", 1), ("delivered", 1)]
    tried = 2 if stage == "MESSAGE" else 1
    assert [len(smtp_state.mails_to(who)) for who in ("a@example.com", "team@example.com", "b@example.com")] == [
        1,
        tried,
        1,
    ]
    # The second attempt is the same mail.
    assert len({mail.message["Message-ID"] for mail in smtp_state.mails}) == 1


def test_many_recipients_with_long_names_are_folded_into_short_lines(
    request_sender: RequestSender, smtp_state: SmtpState, tmp_path: Path
) -> None:
    names = [f"Team {number}, Größe {'x' * 200}" for number in range(30)]
    to = ", ".join(f"{name} <n{number}@example.com>" for number, name in enumerate(names))
    response = needs_config_file(
        request_sender, tmp_path, at(shared_server(), email_to=to, email_cc="cc@example.com")
    ).json
    assert {entry["outcome"] for entry in response["deliveries"]} == {"delivered"}, response
    mail = smtp_state.mails[0]
    assert [address for _, address in shown(mail.message["To"])] == [f"n{number}@example.com" for number in range(30)]


@pytest.mark.parametrize("place", ["email_cc", "email_bcc"])
def test_a_mail_shows_at_most_a_hundred_recipients(place: str, request_sender: RequestSender) -> None:
    def listed(count: int) -> Any:
        return dry(
            request_sender, email_to=[f"n{number}@example.com" for number in range(count)], **{place: "x@example.com"}
        )

    assert {entry["outcome"] for entry in listed(99)["deliveries"]} == {"dry_run"}
    entry = listed(100)["deliveries"][0]
    assert (entry["reason"], entry["path"]) == ("invalid_config", "senders_config.email.email_to")
    assert "at most 100 recipients together, found 101" in entry["detail"]


# Addresses beyond ASCII


BEYOND = [
    {"email_to": "größe@example.com"},
    {"email_from": "Größe <größe@example.com>"},
    {"email_cc": "größe@example.com"},
    {"email_bcc": "größe@example.com"},
    {"email_reply_to": "größe@example.com"},
]


@pytest.mark.parametrize("configuration", BEYOND, ids=[next(iter(one)) for one in BEYOND])
def test_a_non_ascii_address_is_sent_to_a_server_with_smtputf8(
    configuration: dict[str, str], request_sender: RequestSender, tmp_path: Path
) -> None:
    server = MailServer(enable_SMTPUTF8=True)
    response = needs_config_file(request_sender, tmp_path, at(server, **configuration)).json
    assert {entry["outcome"] for entry in response["deliveries"]} == {"delivered"}, response
    assert server.smtp_state.problems == []
    [place] = configuration
    mails = {mail.recipient: mail for mail in server.smtp_state.mails}
    if place in ("email_to", "email_cc", "email_bcc"):
        assert "größe@example.com" in mails
    mail = next(iter(mails.values()))
    header = {"email_to": "To", "email_from": "From", "email_cc": "Cc", "email_reply_to": "Reply-To"}.get(place)
    assert header is None or "größe@example.com" in str(mail.message[header])
    if place == "email_from":
        assert mail.sender == "größe@example.com"


@pytest.mark.parametrize("configuration", BEYOND, ids=[next(iter(one)) for one in BEYOND])
def test_a_non_ascii_address_is_not_sent_to_a_server_without_smtputf8(
    configuration: dict[str, str], request_sender: RequestSender, smtp_state: SmtpState, tmp_path: Path
) -> None:
    own = at(shared_server(), email_username="alerts", email_password=PASSWORD, **configuration)
    response = needs_config_file(request_sender, tmp_path, own).json
    failed = [entry for entry in response["deliveries"] if entry["outcome"] != "delivered"]
    assert failed
    for entry in failed:
        assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "no_smtputf8", 1), entry
        assert "offers no SMTPUTF8" in entry["detail"]
        assert "Give an address in ASCII" in entry["hint"]
    # No mail shows a bcc recipient, and an invalid one does not affect the other mails.
    assert len(smtp_state.mails) == (1 if "email_bcc" in configuration else 0)
    if not smtp_state.mails:
        assert {name for name, _ in smtp_state.commands} <= {"EHLO", "STARTTLS", "QUIT"}


@pytest.mark.parametrize(("reply", "stage"), [("553 5.6.7 non-ASCII", "RCPT"), ("550 5.6.9 no UTF-8", "MESSAGE")])
def test_a_server_can_refuse_a_single_non_ascii_address(
    reply: str, stage: str, request_sender: RequestSender, smtp_state: SmtpState
) -> None:
    smtp_state.rules.append(SmtpRule(stage, reply))
    entry = send(request_sender)
    assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "no_smtputf8", 1), entry


def test_a_non_ascii_domain_needs_no_smtputf8(request_sender: RequestSender, smtp_state: SmtpState) -> None:
    entry = request_sender.send([(CHANNEL, at(shared_server(), email_to="Größe <a@bücher.example>"))], FAST).entry
    assert entry["outcome"] == "delivered"
    assert [mail.recipient for mail in smtp_state.mails] == ["a@xn--bcher-kva.example"]


# How the server is reached


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (None, "[127.0.0.1]"),
        ("DB1.example.com.", "db1.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("192.0.2.1", "[192.0.2.1]"),
        ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
    ],
)
@pytest.mark.parametrize("tls", ["starttls", "tls", "none"])
def test_ehlo_uses_the_configured_host_name(
    given: str | None, name: str, tls: str, request_sender: RequestSender
) -> None:
    server = MailServer(None if tls == "none" else tls)
    own = at(server, email_host="127.0.0.1", email_tls=tls, **({} if given is None else {"email_hello": given}))
    assert request_sender.send([(CHANNEL, own)], FAST).entry["outcome"] == "delivered"
    assert server.smtp_state.ehlo_names == [name] * (2 if tls == "starttls" else 1)
    assert server.smtp_state.problems == []


@pytest.mark.parametrize("given", ["db 1", "db_1", "-x", "[db1]", "a/b", "x\r\nQUIT", "[1.2.3.4.5]", "x" * 64])
def test_an_invalid_host_name_for_ehlo_is_refused(given: str, request_sender: RequestSender) -> None:
    [entry] = dry(request_sender, email_hello=given)["deliveries"]
    assert (entry["reason"], entry["path"]) == ("invalid_config", "senders_config.email.email_hello")
    assert "must be a domain, or an address in brackets, such as db1.example.com" in entry["detail"]


def test_only_the_file_can_choose_a_relay_without_encryption(request_sender: RequestSender, tmp_path: Path) -> None:
    server = MailServer(None)
    response = needs_config_file(request_sender, tmp_path, at(server, email_tls="none", email_cc="c@example.com")).json
    assert [entry["outcome"] for entry in response["deliveries"]] == ["delivered"] * 2, response
    assert server.smtp_state.problems == []
    assert {mail.encrypted for mail in server.smtp_state.mails} == {False}
    server.smtp_state.wait_for_quit()
    assert {name for name, _ in server.smtp_state.commands} == {"EHLO", "MAIL", "RCPT", "DATA", "QUIT"}


def test_a_request_cannot_choose_a_relay_without_encryption(request_sender: RequestSender) -> None:
    [entry] = dry(request_sender, email_tls="none")["deliveries"]
    assert (entry["reason"], entry["path"]) == ("invalid_config", "senders_config.email.email_tls")
    assert "none is for the configuration file alone" in entry["detail"]


def test_no_password_is_sent_without_encryption(request_sender: RequestSender, tmp_path: Path) -> None:
    server = MailServer(None)
    own = at(server, email_tls="none", email_username="alerts", email_password=PASSWORD)
    response = needs_config_file(request_sender, tmp_path, own)
    assert response.status == 503
    assert "leave email_username and email_password out" in response.text
    assert server.smtp_state.commands == []


@pytest.mark.parametrize("host", ["93.184.216.34", "100.64.0.1", "2606:2800:220:1::1", "64:ff9b::10.0.0.1"])
def test_no_mail_goes_to_a_public_address_without_encryption(
    host: str, request_sender: RequestSender, tmp_path: Path
) -> None:
    own = at(shared_server(), email_tls="none", email_host=host)
    [entry] = needs_config_file(request_sender, tmp_path, own).json["deliveries"]
    assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "address_denied", 1), entry
    assert "a public address, to which nothing is sent without encryption" in entry["detail"]
    assert "starttls or tls" in entry["hint"]
