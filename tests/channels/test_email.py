"""Mail, to a server in this process. ``tests/servers/test_postfix.py`` sends to a real one."""

import datetime
import html
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.channels.channel import FIRING, KEY, NUMBERS, Bad, Channel, Sender, delivered, toml
from tests.channels.mailserver import PASSWORD, Book, MailServer, Order, authority, ca_file, shared
from tests.contract.test_length import CLUSTERS
from tests.harness import Answer, Standin, free_port
from tests.leaks.echoes import ECHOES

LIMITS = {
    "response_timeout": "4s",
    "delivery_timeout": "10s",
    "initial_backoff": "10ms",
    "max_backoff": "20ms",
    "max_attempts": "2",
    "on_ambiguous": "report",
}


class Email(Channel):
    """A channel whose provider is a mail server."""

    over_http = False
    # A mail server of this test's own authority is trusted by the configuration file alone.
    by_file = True

    def arrived(self, standin: Standin, number: int) -> list[dict[str, Any]]:
        mails = shared().book.to(address(number))
        return [{"accepted": True, "problem": None if mail.encrypted else "in clear", "mail": mail} for mail in mails]

    def mentions(self, standin: Standin, number: int) -> list[list[str]]:
        mails = shared().book.to(address(number))
        return [re.findall(r"<(?:b|at)>|<a href=\"(?!https://evil.example/@)", mail.part("html")) for mail in mails]

    def order(self, standin: Standin, status: int, body: str | None) -> None:
        shared().book.clear()
        shared().book.orders.append(Order(body or "MESSAGE", f"{status} words of the provider", times=1))

    def check_arrivals(self, standin: Standin) -> None:
        mails = shared().book.mails
        assert mails
        assert all(mail.encrypted for mail in mails)


def address(number: int) -> str:
    """Of a destination."""
    return f"n{number}@example.com"


def destination(_: str, number: int) -> dict[str, Any]:
    """At the server that all tests share."""
    return at(shared(), email_to=address(number))


def at(server: MailServer, **configuration: Any) -> dict[str, Any]:
    """At any server."""
    own = {"email_host": "localhost", "email_port": server.port, "email_from": "InfluxDB <alerts@example.com>"}
    return {**own, "email_to": "oncall@example.com", "ca_file": ca_file(), **configuration}


CHANNEL = Email(
    "email",
    destination=destination,
    path="",
    plain="hi",
    rich="cpu_usage is 97.3 %\n\nhost: db1\nlimit: 95\nprimary: true\n"
    f"Critical · firing since 2026-11-25 02:41 UTC\n{FIRING['link']}",
    taken=delivered(250),
    bad=[
        Bad("email_host", "smtp://smtp.example.com", "email_host must be the name or the address of a mail server"),
        Bad("email_host", "smtp.example.com:587", "without scheme and port, such as smtp.example.com"),
        Bad("email_from", "alerts", "email_from must be one mail address"),
        Bad("email_from", "größe@example.com", "email_from must be one mail address"),
        Bad("email_to", "oncall", "email_to must be one mail address, such as oncall@example.com"),
        Bad("email_to", ["a@example.com, b@example.com"], "email_to must be one mail address"),
        Bad("email_to", ["a@example.com\r\nBcc: b@example.com"], "email_to must be one mail address"),
        Bad("email_to", [], "email_to"),
        Bad("email_to", [5], "email_to"),
        Bad("email_port", 0, "email_port must be"),
        Bad("email_port", 65536, "email_port must be"),
        Bad("email_port", "smtp", "email_port must be"),
        Bad("email_tls", "none", "email_tls must be starttls or tls; in clear nothing is sent"),
    ],
    where=("email_host", "email_port", "ca_file"),
)


@pytest.fixture(autouse=True)
def book() -> Iterator[Book]:
    """What the shared server knows, which is nothing yet."""
    shared().book.clear()
    yield shared().book
    shared().book.clear()


def send(
    sender: Sender, *servers: MailServer, arguments: dict[str, str] | None = None, **request: Any
) -> dict[str, Any]:
    """One mail, and its delivery."""
    [server] = servers or [shared()]
    return sender.send([(CHANNEL, at(server))], arguments or LIMITS, **request).entry


# What arrives


HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted", "Content-Type"]


def test_a_plain_text_is_a_plain_mail(sender: Sender, book: Book) -> None:
    entry = send(sender, notification_text="hi")
    assert (entry["outcome"], entry["message_id"], entry["http_status"]) == ("delivered", "4F0001", None)
    [mail] = book.mails
    assert (mail.sender, mail.recipient, mail.encrypted) == ("alerts@example.com", "oncall@example.com", True)
    message = mail.message
    assert message.keys() == [*HEADERS, "Content-Transfer-Encoding"]
    assert (message["From"], message["To"]) == ("InfluxDB <alerts@example.com>", "oncall@example.com")
    assert (message["Subject"], message["Auto-Submitted"]) == ("hi", "auto-generated")
    assert message.get_content_type() == "text/plain"
    assert mail.content.endswith(b"\r\n\r\nhi\r\n")
    assert abs(parsedate_to_datetime(message["Date"]) - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(
        minutes=1
    )


def test_a_rich_one_has_text_and_html(sender: Sender, book: Book) -> None:
    send(sender, **FIRING)
    [mail] = book.mails
    message = mail.message
    assert message.keys() == HEADERS
    assert [part.get_content_type() for part in message.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert message["Subject"] == "[Critical] CPU of db1 above 95 %"
    assert mail.part("plain") == CHANNEL.rich
    page = mail.part("html")
    for part in (
        ">🔴 CPU of db1 above 95 %</div>",
        ">cpu_usage is 97.3 %</div>",
        ">host</td>",
        ">db1</td>",
        ">Critical · firing since 2026-11-25 02:41 UTC</div>",
        '<a href="https://grafana.example.com/d/cpu?var-host=db1&amp;from=now-1h">Open grafana.example.com</a>',
    ):
        assert part in page
    assert all(len(line) <= 78 for line in mail.content.split(b"\r\n"))


def test_commands_come_in_order_and_after_a_greeting_nothing_in_clear(sender: Sender, book: Book) -> None:
    send(sender)
    book_of = {"starttls": shared(), "tls": MailServer("tls")}
    before = [("EHLO", False), ("STARTTLS", False)]
    names = ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    wait_for_farewell(book)
    assert book.commands == before + [(name, True) for name in names]
    server = book_of["tls"]
    entry = sender.send([(CHANNEL, at(server, email_tls="tls"))], LIMITS).entry
    assert entry["outcome"] == "delivered"
    wait_for_farewell(server.book)
    assert [name for name, _ in server.book.commands] == names


def wait_for_farewell(book: Book) -> None:
    """It is said when the delivery is over already."""
    deadline = time.monotonic() + 5
    while book.commands[-1][0] != "QUIT":
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
def test_row_35_every_text_comes_out_as_it_was(cluster: str, sender: Sender, book: Book) -> None:
    lines = [
        ".",
        "..",
        "From here",
        "a lone \r return",
        " ",
        "=",
        "a" * 3000,
        cluster * 500,
        "<b>&amp;</b> \u200b=3D",
        "e",
    ]
    for ending in ("\n", "\r\n"):
        send(sender, notification_text=ending.join(lines), level="info")
    for mail in book.mails:
        got = mail.part("plain")
        expected = "\n".join(lines).replace("\r\n", "\n")
        assert got == f"{expected}\n\nInfo"
        shown = html.unescape(mail.part("html").replace("<br>\n", "\n"))
        assert expected in shown


def test_row_31_nothing_in_a_notification_makes_a_header(sender: Sender, book: Book) -> None:
    hostile = "x\r\nBcc: evil@example.com\r\n\r\nbody\0\x1b[31m\u2028y"
    entry = send(
        sender,
        notification_text=hostile,
        title=hostile,
        fields={hostile: hostile},
        link="https://e.example/\r\nX-A: b",
        dedup_key=hostile,
    )
    assert entry["outcome"] == "delivered", entry
    entry = send(sender, notification_text=hostile)
    assert entry["outcome"] == "delivered", entry
    for mail in book.mails:
        head = mail.content.partition(b"\r\n\r\n")[0].decode("ascii")
        names = {name.lower() for name in re.findall(r"^([^\s:]+):", head, re.MULTILINE)}
        assert names <= {name.lower() for name in [*HEADERS, "In-Reply-To", "References", "Content-Transfer-Encoding"]}
        assert "Bcc" in mail.message["Subject"]


def test_long_subjects_are_cut_and_said(sender: Sender, book: Book) -> None:
    sent = sender.send([(CHANNEL, at(shared()))], LIMITS, title="ä" * 300, notification_text="x", level="ok")
    assert sent.answer.json["warnings"] != []
    [mail] = book.mails
    assert mail.message["Subject"].startswith("[OK] ää")
    assert mail.message["Subject"].endswith("…")
    assert all(len(line) <= 78 for line in mail.content.split(b"\r\n"))


def test_each_recipient_gets_a_mail_and_a_delivery_of_its_own(sender: Sender, book: Book, tmp_path: Path) -> None:
    names = ["a@example.com", "B <b@example.com>", "gone@example.com"]
    book.orders.append(Order("RCPT", "550 5.1.1 no such user", "gone@example.com"))
    answer = by_file(sender, tmp_path, at(shared(), email_to=names)).json
    assert [(entry["destination"], entry["outcome"], entry["reason"]) for entry in answer["deliveries"]] == [
        ("email a***@example.com", "delivered", None),
        ("email b***@example.com", "delivered", None),
        ("email g***@example.com", "failed", "unknown_destination"),
    ]
    assert sorted((mail.recipient, mail.message["To"]) for mail in book.mails) == [
        ("a@example.com", "a@example.com"),
        ("b@example.com", "B <b@example.com>"),
    ]
    ids = {mail.message["Message-ID"] for mail in book.mails}
    assert len(ids) == 2


def by_file(sender: Sender, directory: Path, *configurations: dict[str, Any], **request: Any) -> Answer:
    """One receiver, whatever it has."""
    path = directory / f"{next(NUMBERS)}.toml"
    path.write_text(f"[receivers.r]\nemail = {toml(list(configurations))}\n", encoding="utf-8")
    trigger = sender.trigger({**LIMITS, "config_file_path": str(path)})
    return trigger.notify({"notification_text": "hi", "receivers": ["r"], **request})


def test_of_a_list_the_wrong_one_is_named(sender: Sender) -> None:
    request = {"email_host": "smtp.example.com", "email_from": "a@example.com", "email_to": ["a@example.com", "b"]}
    body = {"notification_text": "hi", "senders_config": {"email": request}, "dry_run": True}
    entries = sender.trigger({}).notify(body).json["deliveries"]
    assert [(entry["outcome"], entry.get("path")) for entry in entries] == [
        ("dry_run", None),
        ("failed", "senders_config.email.email_to[1]"),
    ]


def test_what_holds_for_a_whole_list_is_warned_of_once(sender: Sender) -> None:
    request = {"email_host": "smtp.example.com", "email_from": "a@example.com", "email_to": ["a@example.com"] * 3}
    body = {"notification_text": "hi", "title": "x" * 300, "senders_config": {"email": request}, "dry_run": True}
    answer = sender.trigger({}).notify(body).json
    assert [len(answer["deliveries"]), len(answer["warnings"])] == [3, 1], answer


# Names of mails


def test_the_message_id_is_of_the_idempotency_key_and_the_same_on_every_attempt(sender: Sender, book: Book) -> None:
    book.orders.append(Order("MESSAGE", "451 4.3.0 later", times=1))
    assert send(sender, idempotency_key=KEY)["attempts"] == 2
    assert send(sender)["attempts"] == 1
    first, again, other = (mail.message["Message-ID"] for mail in book.mails)
    assert first == again != other
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.com>", first)


def test_mails_of_a_dedup_key_are_one_thread(sender: Sender, book: Book) -> None:
    for status, key in (("firing", "cpu db1"), ("resolved", "cpu db1"), ("firing", "other"), ("firing", None)):
        send(sender, **{**FIRING, "status": status}, dedup_key=key)
    first, second, other, none = (mail.message for mail in book.mails)
    assert first["References"] == first["In-Reply-To"] == second["References"] == second["In-Reply-To"]
    assert first["References"] != other["References"]
    assert none["References"] is None
    assert "resolved" in book.mails[1].part("plain")
    subjects = ["[Critical] CPU of db1 above 95 %", "[Resolved] CPU of db1 above 95 %"]
    assert [first["Subject"], second["Subject"]] == subjects


# What the server answers


@dataclass
class Said:
    """A reply at a stage, and what comes of it."""

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
    # It has the mail, and this says nothing of it.
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
    # Neither yes nor no. Whoever went on after the last would give the mail's lines as commands.
    Said("MAIL", "354 go on", "malformed_reply", "email_port"),
    Said("RCPT", "334 VXNlcm5hbWU6", "malformed_reply", "email_port"),
    Said("DATA", "250 2.0.0 Ok", "malformed_reply", "email_port"),
]


def said(row: Said) -> str:
    """A test's name."""
    return f"{row.stage}-{row.reply[:9]}"


@pytest.mark.parametrize("row", PERMANENT + TRANSIENT, ids=said)
def test_row_12_a_reply_means_what_its_stage_makes_of_it(row: Said, sender: Sender, book: Book) -> None:
    book.orders.append(Order(row.stage, row.reply))
    server = shared()
    credentials = {"email_username": "alerts", "email_password": PASSWORD} if row.stage == "AUTH" else {}
    entry = sender.send([(CHANNEL, at(server, **credentials))], LIMITS).entry
    assert (entry["outcome"], entry["reason"]) == (row.outcome, row.reason), entry
    assert entry["attempts"] == (2 if row in TRANSIENT else 1)
    assert entry["http_status"] is None
    assert f"SMTP {row.reply[:3]}: {row.reply[4:]}" in entry["detail"], entry
    assert row.hint in entry["hint"], entry
    # What was refused before the message was never sent.
    assert len(book.mails) == (entry["attempts"] if row.stage == "MESSAGE" else 0)
    if row.stage not in ("GREETING", "EHLO", "STARTTLS"):
        wait_for_farewell(book)


def test_what_passes_by_itself_is_retried_until_it_is_delivered(sender: Sender, book: Book) -> None:
    book.orders.append(Order("RCPT", "450 4.2.0 greylisted", times=2))
    entry = send(sender, arguments={**LIMITS, "max_attempts": "10"})
    assert (entry["outcome"], entry["attempts"], len(book.mails)) == ("delivered", 3, 1)


@pytest.mark.parametrize("reply", ["HTTP/1.1 400 Bad Request", "xyz", "2", "25é", "250?", "", "220-" * 30000])
@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "MESSAGE"])
def test_row_11_what_is_no_reply_is_no_success(stage: str, reply: str, sender: Sender, book: Book) -> None:
    book.orders.append(Order(stage, reply))
    entry = send(sender)
    if stage == "MESSAGE":
        # It may have been taken.
        assert (entry["outcome"], entry["attempts"], len(book.mails)) == ("ambiguous", 1, 1), entry
    else:
        assert (entry["outcome"], entry["reason"]) == ("failed", "malformed_reply"), entry
        assert "email_port" in entry["hint"]


# When the connection breaks


@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_the_dot_is_retried(stage: str, sender: Sender, book: Book) -> None:
    book.orders.append(Order(stage, None, times=1))
    entry = send(sender)
    assert (entry["outcome"], entry["attempts"], len(book.mails)) == ("delivered", 2, 1), entry


def test_row_10_a_connection_lost_after_the_dot_is_not_sent_again(sender: Sender, book: Book) -> None:
    book.orders.append(Order("MESSAGE", None))
    entry = send(sender)
    assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("ambiguous", "lost_reply", 1), entry
    assert [name for name, _ in book.commands].count("DATA") == 1
    # There is nobody to ask, and so nothing that would allow a second one.
    again = send(sender, arguments={**LIMITS, "on_ambiguous": "resend"})
    assert (again["outcome"], again["attempts"]) == ("ambiguous", 1), again


def test_the_attempts_limit_ends_with_the_dot(sender: Sender, book: Book) -> None:
    limits = {**LIMITS, "attempt_timeout": "300ms", "max_attempts": "1"}
    book.orders.append(Order("MESSAGE", "250 2.0.0 Ok: queued as SLOW", after=1))
    entry = send(sender, arguments=limits)
    assert (entry["outcome"], entry["message_id"], len(book.mails)) == ("delivered", "SLOW", 1), entry
    assert entry["elapsed_ms"] >= 1000
    book.orders.append(Order("RCPT", "250 2.1.5 Ok", after=1))
    entry = send(sender, arguments=limits)
    assert (entry["outcome"], entry["reason"]) == ("failed", "timeout"), entry
    assert entry["elapsed_ms"] < 900


def test_nobody_listens(sender: Sender) -> None:
    entry = sender.send([(CHANNEL, at(shared(), email_port=free_port()))], LIMITS).entry
    assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "connect", 2), entry


# Encryption


def test_in_clear_nothing_is_sent(sender: Sender) -> None:
    server = MailServer(None)
    for tls in ("starttls", "tls"):
        entry = sender.send(
            [(CHANNEL, at(server, email_tls=tls, email_username="alerts", email_password=PASSWORD))], LIMITS
        ).entry
        assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "tls", 1), entry
    assert server.book.commands == [("EHLO", False)]
    assert server.book.mails == []


def test_what_a_server_says_before_encryption_is_not_believed_after_it(sender: Sender, book: Book) -> None:
    """Words put behind the answer to STARTTLS, in clear, are not part of the conversation (CVE-2011-0411's kind)."""
    book.orders.append(Order("STARTTLS", "220 ready\r\n250-mail.example.com\r\n250 AUTH PLAIN"))
    entry = send(sender)
    assert entry["outcome"] == "failed", entry
    assert book.mails == []


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("other name", "is for another name"),
        ("expired", "has expired"),
        ("unknown issuer", "an issuer that is not trusted here"),
    ],
)
def test_row_04_a_wrong_certificate_is_refused_at_once_and_named(
    tls: str, fault: str, sentence: str, sender: Sender
) -> None:
    long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    leaf = {
        "other name": lambda: authority().issue_cert("other.example"),
        "expired": lambda: authority().issue_cert("localhost", not_before=long_ago, not_after=long_ago.replace(2021)),
        "unknown issuer": lambda: trustme.CA().issue_cert("localhost"),
    }[fault]()
    server = MailServer(tls, leaf=leaf)
    entry = sender.send([(CHANNEL, at(server, email_tls=tls))], LIMITS).entry
    assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "tls", 1), entry
    assert sentence in entry["detail"]
    assert server.book.mails == []
    assert [name for name, encrypted in server.book.commands if encrypted or name not in ("EHLO", "STARTTLS")] == []


def test_without_ca_file_the_authority_is_not_trusted(sender: Sender, tmp_path: Path) -> None:
    configuration = {key: value for key, value in at(shared()).items() if key != "ca_file"}
    [entry] = by_file(sender, tmp_path, configuration).json["deliveries"]
    assert (entry["outcome"], entry["reason"]) == ("failed", "tls")


# Who may send


@dataclass
class Login:
    """A server and an account, and what comes of them."""

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
def test_an_account_logs_in(tls: str, case: Login, sender: Sender) -> None:
    server = MailServer(tls, **case.options)
    account = {} if case.password is None else {"email_username": "alerts ü", "email_password": case.password}
    entry = sender.send([(CHANNEL, at(server, email_tls=tls, **account))], LIMITS).entry
    assert (entry["outcome"], entry["reason"]) == case.outcome, entry
    assert case.words in (entry["detail"] or "")
    assert [mail.login for mail in server.book.mails] == ([case.login] if case.outcome[1] is None else [])


@pytest.mark.parametrize(
    ("given", "missing"), [("email_username", "email_password"), ("email_password", "email_username")]
)
def test_half_an_account_is_an_error(given: str, missing: str, sender: Sender) -> None:
    configuration = {"email_host": "smtp.example.com", "email_from": "a@example.com", "email_to": "b@example.com"}
    body = {"notification_text": "hi", "senders_config": {"email": {**configuration, given: "x"}}, "dry_run": True}
    [entry] = sender.trigger({}).notify(body).json["deliveries"]
    assert (entry["reason"], entry["path"]) == ("invalid_config", f"senders_config.email.{missing}")


# Secrets


def test_row_33_no_echo_of_a_secret_is_shown(sender: Sender, book: Book) -> None:
    destinations, secrets = [], []
    for stage, code in (("RCPT", 550), ("RCPT", 450), ("MESSAGE", 550), ("MESSAGE", 250)):
        for echo in ECHOES.values():
            number = next(NUMBERS)
            recipient, username, password = f"Qz{number:04}x@example.com", f"Qu{number:04}y", f"Qp{number:04}z"
            words = echo(f"{recipient} {username} {password}").replace("\r", " ").replace("\n", " ")
            book.orders.append(Order(stage, f"{code} 2.0.0 queued as {words}", recipient))
            destinations.append((CHANNEL, at(shared(), email_to=recipient)))
            secrets.append(recipient)
    sent = sender.send(destinations, LIMITS)
    shown = [sent.answer.text, *(text for _, text in sent.trigger.log_lines())]
    shown += [sent.trigger.notify(b"", query={"view": view}, method="GET").text for view in ("status", "metrics")]
    for text in shown:
        for secret in secrets:
            assert secret not in text


def test_row_33_a_preview_shows_neither_account_nor_recipient(sender: Sender) -> None:
    configuration = at(shared(), email_to="Qz7@example.com", email_username="Qu7", email_password="Qp7")
    sent = sender.send([(CHANNEL, configuration)], dry_run=True, notification_text="hi")
    for secret in ("Qz7", "Qu7", "Qp7"):
        assert secret not in sent.answer.text
    assert sent.entry["preview"]["body"] == "Subject: hi\n\nhi"


# Where it may go


def test_the_operators_rules_for_addresses_hold_for_mails_too(sender: Sender, book: Book) -> None:
    configuration = {key: value for key, value in at(shared()).items() if key != "ca_file"}
    body = {"notification_text": "hi", "senders_config": {"email": configuration}}
    for arguments in ({"allowed_hosts": "smtp.example.com"}, {"private_addresses": "deny"}):
        [entry] = sender.trigger({**LIMITS, **arguments}).notify(body).json["deliveries"]
        assert (entry["outcome"], entry["reason"]) == ("failed", "address_denied"), entry
    assert book.commands == []
    configuration["email_host"] = "169.254.169.254"
    [entry] = sender.trigger(LIMITS).notify(body).json["deliveries"]
    assert (entry["outcome"], entry["reason"]) == ("failed", "address_denied"), entry


def test_a_dry_run_opens_no_connection(sender: Sender, book: Book) -> None:
    before = book.connections
    assert sender.send([(CHANNEL, at(shared()))], dry_run=True).entry["outcome"] == "dry_run"
    assert book.connections == before
