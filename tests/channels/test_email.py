"""Mail to a server in this process. ``test_email_server.py`` tests the replies of servers.
``tests/servers/test_postfix.py`` sends to a real one.
"""

import datetime
import html
import re
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.channels.channel import FAST, FIRING, KEY, NUMBERS, ChannelSpec, InvalidValue, RequestSender, delivered, toml
from tests.channels.mailserver import MailServer, SmtpRule, SmtpState, ca_file, shared_server
from tests.contract.test_length import CLUSTERS
from tests.harness import Response, Standin, eventually
from tests.leaks.echoes import ECHOES

pytestmark = pytest.mark.usefixtures("smtp_state")


class Email(ChannelSpec):
    """A channel whose provider is a mail server."""

    over_http = False
    # A mail server of this test's own authority is trusted by the configuration file alone.
    needs_config_file = True

    def received(self, standin: Standin, number: int) -> list[dict[str, Any]]:
        mails = shared_server().smtp_state.mails_to(address(number))
        return [{"accepted": True, "problem": None if mail.encrypted else "in clear", "mail": mail} for mail in mails]

    def mentions(self, standin: Standin, number: int) -> list[list[str]]:
        mails = shared_server().smtp_state.mails_to(address(number))
        return [re.findall(r"<(?:b|at)>|<a href=\"(?!https://evil.example/@)", mail.part("html")) for mail in mails]

    def set_reply(self, standin: Standin, status: int, body: str | None) -> None:
        shared_server().smtp_state.clear()
        shared_server().smtp_state.rules.append(SmtpRule(body or "MESSAGE", f"{status} words of the provider", times=1))

    def check_arrivals(self, standin: Standin) -> None:
        mails = shared_server().smtp_state.mails
        assert mails
        assert all(mail.encrypted for mail in mails)


def address(number: int) -> str:
    """Of a destination."""
    return f"n{number}@example.com"


def destination(_: str, number: int) -> dict[str, Any]:
    """At the server that all tests share."""
    return at(shared_server(), email_to=address(number))


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
    success=delivered(250),
    invalid_values=[
        InvalidValue(
            "email_host", "smtp://smtp.example.com", "email_host must be the name or the address of a mail server"
        ),
        InvalidValue("email_host", "smtp.example.com:587", "without scheme and port, such as smtp.example.com"),
        InvalidValue("email_from", "alerts", "email_from has no @ in its address; write user@example.com"),
        InvalidValue("email_from", "a@example.com, b@example.com", "email_from must be one address, found several"),
        InvalidValue("email_to", "oncall", "email_to has no @ in its address"),
        InvalidValue("email_to", ["a@example.com; b@example.com"], "holds several addresses; separate them by commas"),
        InvalidValue("email_to", ["a@example.com\r\nBcc: b@example.com"], "holds a control character"),
        InvalidValue("email_to", [], "email_to"),
        InvalidValue("email_to", [5], "email_to"),
        InvalidValue("email_port", 0, "email_port must be"),
        InvalidValue("email_port", 65536, "email_port must be"),
        InvalidValue("email_port", "smtp", "email_port must be"),
        InvalidValue("email_tls", "none", "email_tls none is for the configuration file alone"),
        InvalidValue("email_tls", "ssl", "email_tls must be starttls or tls, or none in the configuration file"),
        InvalidValue(
            "email_hello", "db_1", "email_hello must be a domain, or an address in brackets, such as db1.example.com"
        ),
        InvalidValue("email_reply_to", ["a@example.com", "b"], "email_reply_to has no @"),
    ],
    address_fields=("email_host", "email_port", "ca_file"),
)


def send(
    request_sender: RequestSender, *servers: MailServer, arguments: dict[str, str] | None = None, **request: Any
) -> dict[str, Any]:
    """One mail, and its delivery."""
    [server] = servers or [shared_server()]
    return request_sender.send([(CHANNEL, at(server))], arguments or FAST, **request).entry


def needs_config_file(
    request_sender: RequestSender, directory: Path, *configurations: dict[str, Any], **request: Any
) -> Response:
    """Send to one receiver with these configurations, in a configuration file."""
    path = directory / f"{next(NUMBERS)}.toml"
    path.write_text(f"[receivers.r]\nemail = {toml(list(configurations))}\n", encoding="utf-8")
    trigger = request_sender.trigger({**FAST, "config_file_path": str(path)})
    return trigger.notify({"notification_text": "hi", "receivers": ["r"], **request})


# Arriving messages


HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted", "Content-Type"]


def test_a_plain_text_is_a_plain_mail(request_sender: RequestSender, smtp_state: SmtpState) -> None:
    entry = send(request_sender, notification_text="hi")
    assert (entry["outcome"], entry["message_id"], entry["http_status"]) == ("delivered", "4F0001", None)
    [mail] = smtp_state.mails
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


def test_a_rich_mail_has_text_and_html(request_sender: RequestSender, smtp_state: SmtpState) -> None:
    send(request_sender, **FIRING)
    [mail] = smtp_state.mails
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


def test_smtp_commands_are_in_order_and_nothing_is_sent_in_clear_after_the_greeting(
    request_sender: RequestSender, smtp_state: SmtpState
) -> None:
    send(request_sender)
    book_of = {"starttls": shared_server(), "tls": MailServer("tls")}
    before = [("EHLO", False), ("STARTTLS", False)]
    names = ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    smtp_state.wait_for_quit()
    assert smtp_state.commands == before + [(name, True) for name in names]
    server = book_of["tls"]
    entry = request_sender.send([(CHANNEL, at(server, email_tls="tls"))], FAST).entry
    assert entry["outcome"] == "delivered"
    server.smtp_state.wait_for_quit()
    assert [name for name, _ in server.smtp_state.commands] == names


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
def test_every_text_arrives_unchanged(cluster: str, request_sender: RequestSender, smtp_state: SmtpState) -> None:
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
        send(request_sender, notification_text=ending.join(lines), level="info")
    for mail in smtp_state.mails:
        got = mail.part("plain")
        expected = "\n".join(lines).replace("\r\n", "\n")
        assert got == expected
        shown = html.unescape(mail.part("html").replace("<br>\n", "\n"))
        assert expected in shown


def test_no_value_of_a_notification_adds_a_header(request_sender: RequestSender, smtp_state: SmtpState) -> None:
    hostile = "x\r\nBcc: evil@example.com\r\n\r\nbody\0\x1b[31m\u2028y"
    entry = send(
        request_sender,
        notification_text=hostile,
        title=hostile,
        fields={hostile: hostile},
        link="https://e.example/\r\nX-A: b",
        dedup_key=hostile,
    )
    assert entry["outcome"] == "delivered", entry
    entry = send(request_sender, notification_text=hostile)
    assert entry["outcome"] == "delivered", entry
    for mail in smtp_state.mails:
        head = mail.content.partition(b"\r\n\r\n")[0].decode("ascii")
        names = {name.lower() for name in re.findall(r"^([^\s:]+):", head, re.MULTILINE)}
        assert names <= {name.lower() for name in [*HEADERS, "In-Reply-To", "References", "Content-Transfer-Encoding"]}
        assert "Bcc" in mail.message["Subject"]


def test_a_long_subject_is_cut_with_a_warning(request_sender: RequestSender, smtp_state: SmtpState) -> None:
    sent = request_sender.send(
        [(CHANNEL, at(shared_server()))], FAST, title="ä" * 300, notification_text="x", level="ok"
    )
    assert sent.response.json["warnings"] != []
    [mail] = smtp_state.mails
    assert mail.message["Subject"].startswith("[OK] ää")
    assert mail.message["Subject"].endswith("…")
    assert all(len(line) <= 78 for line in mail.content.split(b"\r\n"))


def test_each_recipient_gets_a_mail_and_a_delivery_of_its_own(
    request_sender: RequestSender, smtp_state: SmtpState, tmp_path: Path
) -> None:
    names = ["a@example.com", "B <b@example.com>", "gone@example.com"]
    smtp_state.rules.append(SmtpRule("RCPT", "550 5.1.1 no such user", "gone@example.com"))
    response = needs_config_file(request_sender, tmp_path, at(shared_server(), email_to=names)).json
    assert [(entry["destination"], entry["outcome"], entry["reason"]) for entry in response["deliveries"]] == [
        ("email a***@example.com", "delivered", None),
        ("email b***@example.com", "delivered", None),
        ("email g***@example.com", "failed", "unknown_destination"),
    ]
    assert sorted((mail.recipient, mail.message["To"]) for mail in smtp_state.mails) == [
        ("a@example.com", "a@example.com"),
        ("b@example.com", "B <b@example.com>"),
    ]
    ids = {mail.message["Message-ID"] for mail in smtp_state.mails}
    assert len(ids) == 2


def test_an_invalid_address_in_a_list_is_named(request_sender: RequestSender) -> None:
    request = {"email_host": "smtp.example.com", "email_from": "a@example.com", "email_to": ["a@example.com", "b"]}
    body = {"notification_text": "hi", "senders_config": {"email": request}, "dry_run": True}
    entries = request_sender.trigger({}).notify(body).json["deliveries"]
    assert [(entry["outcome"], entry.get("path")) for entry in entries] == [
        ("dry_run", None),
        ("failed", "senders_config.email.email_to[1]"),
    ]


def test_a_problem_of_a_whole_list_is_one_warning(request_sender: RequestSender) -> None:
    request = {
        "email_host": "smtp.example.com",
        "email_from": "a@example.com",
        "email_to": [f"{name}@example.com" for name in "abc"],
    }
    body = {"notification_text": "hi", "title": "x" * 300, "senders_config": {"email": request}, "dry_run": True}
    response = request_sender.trigger({}).notify(body).json
    assert [len(response["deliveries"]), len(response["warnings"])] == [3, 1], response


# Names of mails


def test_the_message_id_comes_from_the_idempotency_key_and_stays_the_same_on_every_attempt(
    request_sender: RequestSender, smtp_state: SmtpState
) -> None:
    smtp_state.rules.append(SmtpRule("MESSAGE", "451 4.3.0 later", times=1))
    assert send(request_sender, idempotency_key=KEY)["attempts"] == 2
    assert send(request_sender)["attempts"] == 1
    first, again, other = (mail.message["Message-ID"] for mail in smtp_state.mails)
    assert first == again != other
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.com>", first)


def test_mails_of_a_dedup_key_are_one_thread(request_sender: RequestSender, smtp_state: SmtpState) -> None:
    for status, key in (("firing", "cpu db1"), ("resolved", "cpu db1"), ("firing", "other"), ("firing", None)):
        send(request_sender, **{**FIRING, "status": status}, dedup_key=key)
    first, second, other, none = (mail.message for mail in smtp_state.mails)
    assert first["References"] == first["In-Reply-To"] == second["References"] == second["In-Reply-To"]
    assert first["References"] != other["References"]
    assert none["References"] is None
    assert "resolved" in smtp_state.mails[1].part("plain")
    subjects = ["[Critical] CPU of db1 above 95 %", "[Resolved] CPU of db1 above 95 %"]
    assert [first["Subject"], second["Subject"]] == subjects


# Secrets


def test_a_secret_that_the_provider_echoes_is_not_shown(request_sender: RequestSender, smtp_state: SmtpState) -> None:
    destinations, secrets = [], []
    for stage, code in (("RCPT", 550), ("RCPT", 450), ("MESSAGE", 550), ("MESSAGE", 250)):
        for echo in ECHOES.values():
            number = next(NUMBERS)
            recipient, username, password = f"Qz{number:04}x@example.com", f"Qu{number:04}y", f"Qp{number:04}z"
            words = echo(f"{recipient} {username} {password}").replace("\r", " ").replace("\n", " ")
            smtp_state.rules.append(SmtpRule(stage, f"{code} 2.0.0 queued as {words}", recipient))
            destinations.append((CHANNEL, at(shared_server(), email_to=recipient)))
            secrets.append(recipient)
    sent = request_sender.send(destinations, FAST)

    def in_flight() -> int:
        return int(sent.trigger.notify(b"", query={"view": "status"}, method="GET").json["in_flight"])

    # On a busy machine some are pending when the answer comes.
    eventually(lambda: in_flight() == 0, "all have ended", timeout=30)
    shown = [sent.response.text, *(text for _, text in sent.trigger.log_lines())]
    views = ("status", "metrics", "alerts")
    shown += [sent.trigger.notify(b"", query={"view": view}, method="GET").text for view in views]
    for text in shown:
        for secret in secrets:
            assert secret not in text


def test_a_preview_shows_neither_account_nor_recipient(request_sender: RequestSender) -> None:
    configuration = at(shared_server(), email_to="Qz7@example.com", email_username="Qu7", email_password="Qp7")
    sent = request_sender.send([(CHANNEL, configuration)], dry_run=True, notification_text="hi")
    for secret in ("Qz7", "Qu7", "Qp7"):
        assert secret not in sent.response.text
    assert sent.entry["preview"]["body"] == "Subject: hi\n\nhi"


# Where it may go


def test_the_address_policy_applies_to_mail_servers(request_sender: RequestSender, smtp_state: SmtpState) -> None:
    configuration = {key: value for key, value in at(shared_server()).items() if key != "ca_file"}
    body = {"notification_text": "hi", "senders_config": {"email": configuration}}
    for arguments in ({"allowed_hosts": "smtp.example.com"}, {"private_addresses": "deny"}):
        [entry] = request_sender.trigger({**FAST, **arguments}).notify(body).json["deliveries"]
        assert (entry["outcome"], entry["reason"]) == ("failed", "address_denied"), entry
    assert smtp_state.commands == []
    configuration["email_host"] = "169.254.169.254"
    [entry] = request_sender.trigger(FAST).notify(body).json["deliveries"]
    assert (entry["outcome"], entry["reason"]) == ("failed", "address_denied"), entry


def test_a_dry_run_opens_no_connection(request_sender: RequestSender, smtp_state: SmtpState) -> None:
    before = smtp_state.connections
    assert request_sender.send([(CHANNEL, at(shared_server()))], dry_run=True).entry["outcome"] == "dry_run"
    assert smtp_state.connections == before
