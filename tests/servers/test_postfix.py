"""A real Postfix with mailboxes and authentication."""

import email.policy
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.channels.channel import FIRING, RequestSender, toml
from tests.channels.conftest import request_sender
from tests.channels.mailserver import PASSWORD, authority, ca_file
from tests.channels.test_email import CHANNEL
from tests.harness import eventually, free_port
from tests.servers.conftest import Start, program

__all__ = ["request_sender"]

MANY = [f"n{number}@example.com" for number in range(80)]
"""More connections than Postfix accepts from one client."""
MAILBOXES = [
    "oncall@example.com",
    "later@example.com",
    "team@example.com",
    "archive@example.com",
    "jürgen@example.com",
    *MANY,
]
MAIN = """
compatibility_level = 3.6
myhostname = mail.example.com
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
maillog_file = /dev/stdout
queue_directory = {at}/queue
data_directory = {at}/data
message_size_limit = 100000
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_chain_files = {at}/server.pem
smtpd_tls_received_header = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = example.com
cyrus_sasl_config_path = {at}/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ later@example.com = 450 4.2.0 Greylisted }} }}
smtpd_sender_restrictions = check_sender_access inline:{{ {{ ceo@example.com = 553 5.7.1 Not yours }} }}
virtual_mailbox_domains = example.com
virtual_mailbox_base = {at}/mail
virtual_mailbox_maps = texthash:{at}/mailboxes
virtual_uid_maps = static:{user}
virtual_gid_maps = static:{group}
"""
MASTER = """
127.0.0.1:{starttls} inet n - n - - smtpd
127.0.0.1:{tls} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
SASL = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {at}/sasldb2
mech_list: PLAIN LOGIN
"""


@dataclass
class Postfix:
    """A running Postfix."""

    directory: Path
    starttls: int
    tls: int

    def at(self, tls: str = "starttls", **configuration: Any) -> dict[str, Any]:
        """A destination at this server."""
        port = self.starttls if tls == "starttls" else self.tls
        own = {"email_host": "localhost", "email_port": port, "email_tls": tls, "ca_file": ca_file()}
        return {**own, "email_from": "InfluxDB <alerts@example.com>", "email_to": "oncall@example.com", **configuration}

    def mails(self, recipient: str = "oncall@example.com", count: int = 1) -> list[EmailMessage]:
        """Wait for ``count`` mails in a mailbox, return them, and empty the mailbox."""
        new = self.directory / "mail" / recipient / "new"
        found: list[Path] = eventually(
            lambda: there if new.exists() and len(there := sorted(new.iterdir())) >= count else [],
            f"{count} for {recipient}",
            timeout=20,
        )
        mails = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in found]
        for path in found:
            path.unlink()
        return [mail for mail in mails if isinstance(mail, EmailMessage)]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that Postfix's users can access, unlike the test's."""
    with tempfile.TemporaryDirectory(prefix="notifier-postfix-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def postfix(start: Start, directory: Path) -> Iterator[Postfix]:
    """A mail server for this module, independent of the machine's."""
    command = program("postfix", "postfix")
    accounts = program("saslpasswd2", "sasl2-bin")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts for root alone")
    own = Postfix(directory, free_port(), free_port())
    user, nobody = pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
    for name in ("queue", "data", "mail", "sasl"):
        (directory / name).mkdir()
    shutil.chown(directory / "data", user.pw_uid)
    shutil.chown(directory / "mail", nobody.pw_uid, nobody.pw_gid)
    known = {"at": directory, "user": nobody.pw_uid, "group": nobody.pw_gid, "starttls": own.starttls, "tls": own.tls}
    (directory / "main.cf").write_text(MAIN.format(**known))
    (directory / "master.cf").write_text(MASTER.format(**known))
    (directory / "sasl" / "smtpd.conf").write_text(SASL.format(**known))
    (directory / "mailboxes").write_text("".join(f"{mailbox} {mailbox}/\n" for mailbox in MAILBOXES))
    certificate = authority().issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(directory / "server.pem"))
    subprocess.run(
        [accounts, "-p", "-c", "-f", directory / "sasldb2", "-u", "example.com", "alerts"],
        input=PASSWORD.encode(),
        check=True,
    )
    shutil.chown(directory / "sasldb2", user.pw_uid)

    def is_ready() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", own.starttls), 1) as connection:
                connection.settimeout(5)
                return connection.recv(100).startswith(b"220 ")
        except OSError:
            return False

    # It wants to lead a process group.
    start(["setsid", command, "-c", str(directory), "start-fg"], is_ready)
    yield own
    subprocess.run([command, "-c", directory, "stop"], check=True, stderr=subprocess.DEVNULL)


ACCOUNT = {"email_username": "alerts@example.com", "email_password": PASSWORD}
LIMITS = {"initial_backoff": "10ms", "max_backoff": "20ms", "max_attempts": "2"}


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_mail_of_an_account_is_in_the_mailbox(tls: str, postfix: Postfix, request_sender: RequestSender) -> None:
    entry = request_sender.send([(CHANNEL, postfix.at(tls, **ACCOUNT))], **FIRING, dedup_key="cpu db1").entry
    assert entry["outcome"] == "delivered", entry
    [mail] = postfix.mails()
    # Encrypted, and with an account, as Postfix saw it.
    assert f"with ESMTPSA id {entry['message_id']}" in re.sub(r"\s+", " ", mail["Received"])
    assert "TLSv1.3" in mail["Received"]
    assert (mail["Return-Path"], mail["Delivered-To"]) == ("<alerts@example.com>", "oncall@example.com")
    assert mail["Subject"] == "[Critical] CPU of db1 above 95 %"
    assert mail["References"] == mail["In-Reply-To"]
    text, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert isinstance(text, EmailMessage)
    assert isinstance(page, EmailMessage)
    assert text.get_content().rstrip("\n") == CHANNEL.rich
    assert ">cpu_usage is 97.3 %</div>" in page.get_content()
    assert mail.defects == []


def test_copies_and_blind_copies_are_in_their_mailboxes(
    postfix: Postfix, request_sender: RequestSender, tmp_path: Path
) -> None:
    own = postfix.at(
        email_to="Doe, Jane <oncall@example.com>", email_cc="team@example.com", email_bcc="archive@example.com"
    )
    (tmp_path / "copies.toml").write_text(f"[receivers.r]\nemail = {toml(own)}\n", encoding="utf-8")
    trigger = request_sender.trigger({"config_file_path": str(tmp_path / "copies.toml")})
    response = trigger.notify({"notification_text": "hi", "receivers": ["r"]}).json
    assert [entry["outcome"] for entry in response["deliveries"]] == ["delivered"] * 3, response
    found = [mail for name in ("oncall", "team", "archive") for mail in postfix.mails(f"{name}@example.com")]
    assert len(found) == 3
    assert {(mail["To"], mail["Cc"], mail["Bcc"]) for mail in found} == {
        ('"Doe, Jane" <oncall@example.com>', "team@example.com", None)
    }
    assert len({mail["Message-ID"] for mail in found}) == 1


def test_an_address_beyond_ascii_has_its_mail(postfix: Postfix, request_sender: RequestSender) -> None:
    own = postfix.at(email_to="Jürgen <jürgen@example.com>", email_hello="db1.example.com")
    entry = request_sender.send([(CHANNEL, own)], LIMITS).entry
    assert entry["outcome"] == "delivered", entry
    [mail] = postfix.mails("jürgen@example.com")
    assert str(mail["To"]) == "Jürgen <jürgen@example.com>"
    assert "(db1.example.com" in mail["Received"] or "from db1.example.com" in mail["Received"]
    assert "UTF8" in mail["Received"]


def test_a_relay_on_loopback_accepts_unencrypted_mail(postfix: Postfix, request_sender: RequestSender) -> None:
    own = postfix.at("none", email_port=postfix.starttls)
    assert request_sender.send([(CHANNEL, own)], LIMITS).entry["outcome"] == "delivered"
    [mail] = postfix.mails()
    assert "TLS" not in mail["Received"]


def test_every_line_arrives_unchanged(postfix: Postfix, request_sender: RequestSender) -> None:
    lines = [".", "..", ".x", "From here", "", " ", "=3D", "größe 😀", "a" * 3000, "e"]
    assert (
        request_sender.send([(CHANNEL, postfix.at())], notification_text="\n".join(lines)).entry["outcome"]
        == "delivered"
    )
    [mail] = postfix.mails()
    assert mail.get_content().rstrip("\n").split("\n") == lines


def test_a_refusal_of_postfix_is_reported(postfix: Postfix, request_sender: RequestSender) -> None:
    refused = [
        ({"email_to": "nobody@example.com"}, "unknown_destination", "SMTP 550: 5.1.1"),
        ({"email_to": "x@elsewhere.example"}, "forbidden", "SMTP 554: 5.7.1"),
        ({**ACCOUNT, "email_password": "wrong"}, "unauthorized", "SMTP 535: 5.7.8"),
        ({"email_from": "ceo@example.com"}, "forbidden", "SMTP 553: 5.7.1"),
        ({"email_to": "later@example.com"}, "try_later", "SMTP 450: 4.2.0"),
    ]
    sent = request_sender.send([(CHANNEL, postfix.at(**configuration)) for configuration, _, _ in refused], LIMITS)
    for entry, (_, reason, detail) in zip(sent.entries, refused, strict=True):
        assert (entry["outcome"], entry["reason"]) == ("failed", reason), entry
        assert entry["detail"].startswith(detail)
        assert entry["attempts"] == (2 if reason == "try_later" else 1)
    long = "a line of some length\n" * 6000
    entry = request_sender.send([(CHANNEL, postfix.at())], LIMITS, notification_text=long).entry
    assert (entry["outcome"], entry["reason"]) == ("failed", "too_large"), entry
    assert entry["detail"].startswith("SMTP 552: 5.3.4")


def test_a_list_longer_than_the_connection_limit_is_delivered(postfix: Postfix, request_sender: RequestSender) -> None:
    limits = {"response_timeout": "4500ms", "initial_backoff": "100ms", "max_attempts": "100"}
    request_sender.send([(CHANNEL, postfix.at(email_to=recipient)) for recipient in MANY], limits)
    for recipient in MANY:
        [mail] = postfix.mails(recipient)
        assert mail["To"] == recipient
