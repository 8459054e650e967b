"""A mail server in this process that follows rules of the test, and records mails and commands.

It rejects everything that a real server may reject, and records it as a problem.
"""

import asyncio
import email.policy
import functools
import re
import ssl
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

PASSWORD = "Qz s3cret ü"  # noqa: S105
"""The password of every account. The documentation's password is also valid."""


@dataclass
class Mail:
    """A mail that was sent up to its final dot, even if the reply was an error."""

    sender: str
    recipient: str
    content: bytes
    encrypted: bool
    login: str | None

    @property
    def message(self) -> EmailMessage:
        """The parsed mail."""
        message = email.message_from_bytes(self.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        assert message.defects == []
        return message

    def part(self, kind: str) -> str:
        """The text of the part ``plain`` or ``html``, with ``\\n`` as line end."""
        body = self.message.get_body((kind,))
        assert isinstance(body, EmailMessage)
        return str(body.get_content()).replace("\r\n", "\n")


@dataclass
class SmtpRule:
    """The action at a stage of the session: wait ``after`` seconds, then reply, or close the connection (None)."""

    stage: str
    reply: str | None
    recipient: str | None = None
    times: int = -1
    after: float = 0


@dataclass
class SmtpState:
    """The rules and the records of one or several servers."""

    rules: list[SmtpRule] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    commands: list[tuple[str, bool]] = field(default_factory=list)
    """(name, whether encrypted) of each command."""
    ehlo_names: list[str] = field(default_factory=list)
    """The names in the clients' EHLO commands."""
    problems: list[str] = field(default_factory=list)
    """The clients' violations of the protocol."""
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Delete all rules and records."""
        with self.lock:
            self.rules, self.mails, self.commands = [], [], []
            self.ehlo_names, self.problems = [], []

    def find(self, stage: str, addresses: Iterable[str]) -> SmtpRule | None:
        """The first rule for a stage. Counts it as used once."""
        with self.lock:
            for rule in self.rules:
                fits = rule.recipient is None or rule.recipient in addresses
                if rule.stage == stage and rule.times != 0 and fits:
                    rule.times -= 1
                    return rule
        return None

    def mails_to(self, recipient: str) -> list[Mail]:
        """The mails to a recipient."""
        with self.lock:
            return [mail for mail in self.mails if mail.recipient == recipient]

    def wait_for_quit(self) -> None:
        """Wait for the QUIT command, which a client sends after the delivery has ended."""
        deadline = time.monotonic() + 5
        while self.commands[-1][0] != "QUIT":
            assert time.monotonic() < deadline
            time.sleep(0.005)


class SmtpServer(SMTP):
    """An SMTP server that follows the rules, and otherwise behaves as a strict mail server."""

    smtp_state: SmtpState
    encrypted = False
    """Whether TLS began before SMTP, which aiosmtpd does not know."""
    greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.transport is None:
            self.smtp_state.connections += 1
        super().connection_made(transport)

    async def push(self, status: Any) -> None:
        words = status.encode() if isinstance(status, str) else status
        if not self.greeted:
            self.greeted = True
            await self.apply_rule("GREETING", super().push(words), [])
        else:
            await super().push(words)

    async def apply_rule(self, stage: str, otherwise: Any, addresses: list[str]) -> None:
        """Follow the rule for this stage, or await ``otherwise``."""
        if stage != "GREETING":
            self.smtp_state.commands.append((stage, self.session is not None and self.session.ssl is not None))
        rule = self.smtp_state.find(stage, addresses)
        if rule is None:
            await otherwise
            return
        otherwise.close()
        await asyncio.sleep(rule.after)
        await self.send_reply(rule)

    async def send_reply(self, rule: SmtpRule) -> None:
        """Send the rule's reply, or close the connection."""
        if rule.reply is None:
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.abort()
        else:
            await super().push(rule.reply.encode())

    async def refuse(self, reply: str) -> None:
        """Reject a command that violates the protocol."""
        self.smtp_state.problems.append(reply)
        await super().push(reply)

    async def smtp_EHLO(self, hostname: str) -> None:
        self.smtp_state.ehlo_names.append(hostname)
        is_name = EHLO_NAME.fullmatch(hostname or "")
        usual = super().smtp_EHLO(hostname) if is_name else self.refuse("501 5.5.4 Invalid domain name")
        await self.apply_rule("EHLO", usual, [])

    async def smtp_STARTTLS(self, arg: str) -> None:
        await self.apply_rule("STARTTLS", super().smtp_STARTTLS(arg), [])

    async def smtp_AUTH(self, arg: str) -> None:
        usual = super().smtp_AUTH(arg) if self.may_log_in() else self.refuse("538 5.7.11 Encryption required")
        await self.apply_rule("AUTH", usual, [])

    def may_log_in(self) -> bool:
        """Whether the connection is encrypted."""
        return self.encrypted or (self.session is not None and self.session.ssl is not None)

    async def smtp_MAIL(self, arg: str) -> None:
        is_beyond_ascii = not arg.isascii() and "SMTPUTF8" not in arg.upper().split()
        usual = self.refuse("553 5.6.7 SMTPUTF8 was not asked for") if is_beyond_ascii else super().smtp_MAIL(arg)
        await self.apply_rule("MAIL", usual, [])

    async def smtp_RCPT(self, arg: str) -> None:
        envelope = self.envelope
        if envelope is not None and not arg.isascii() and not envelope.smtp_utf8:
            usual = self.refuse("553 5.6.7 SMTPUTF8 was not asked for")
        elif envelope is not None and envelope.rcpt_tos:
            usual = self.refuse("452 4.5.3 Too many recipients: each gets a mail of its own")
        else:
            usual = super().smtp_RCPT(arg)
        await self.apply_rule("RCPT", usual, [arg.partition("<")[2].partition(">")[0]])

    async def smtp_DATA(self, arg: str) -> None:
        recipients = self.envelope.rcpt_tos if self.envelope else []
        await self.apply_rule("DATA", super().smtp_DATA(arg), recipients)

    async def smtp_QUIT(self, arg: str) -> None:
        await self.apply_rule("QUIT", super().smtp_QUIT(arg), [])


class Handler:
    """Records each mail, and replies after its final dot."""

    def __init__(self, smtp_state: SmtpState) -> None:
        self.smtp_state = smtp_state

    async def handle_DATA(self, server: SmtpServer, session: Session, envelope: Envelope) -> str:
        """Check and record the mail, and return the reply."""
        [recipient] = envelope.rcpt_tos
        login = session.auth_data.decode() if isinstance(session.auth_data, bytes) else None
        assert isinstance(envelope.original_content, bytes)
        problem = find_defect(envelope)
        if problem is not None:
            self.smtp_state.problems.append(problem)
            return problem
        mail = Mail(str(envelope.mail_from), recipient, envelope.original_content, session.ssl is not None, login)
        with self.smtp_state.lock:
            self.smtp_state.mails.append(mail)
            number = len(self.smtp_state.mails)
        rule = self.smtp_state.find("MESSAGE", [recipient])
        if rule is None:
            return f"250 2.0.0 Ok: queued as 4F{number:04}"
        await asyncio.sleep(rule.after)
        if rule.reply is None:
            await server.send_reply(rule)
        return "250 not sent" if rule.reply is None else rule.reply


EHLO_NAME = re.compile(
    r"\[\d+\.\d+\.\d+\.\d+\]|\[IPv6:[0-9a-fA-F:.]+\]"
    r"|(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    re.IGNORECASE,
)
"""A domain or an address literal (RFC 5321, 4.1.1.1 and 4.1.3)."""


def find_defect(envelope: Envelope) -> str | None:
    """The reply that rejects an invalid mail; None: the mail is valid."""
    content = envelope.original_content
    assert isinstance(content, bytes)
    head = content.partition(b"\r\n\r\n")[0]
    if re.search(rb"\r(?!\n)|(?<!\r)\n", content):
        return "550 5.6.11 Bare carriage returns or line feeds (RFC 5321, 2.3.8)"
    if any(len(line) > 998 for line in content.split(b"\r\n")):
        return "500 5.6.0 Line too long (RFC 5321, 4.5.3.1.6)"
    if not head.isascii() and not envelope.smtp_utf8:
        return "554 5.6.9 Headers beyond ASCII without SMTPUTF8 (RFC 6531)"
    if not content.isascii() and "BODY=8BITMIME" not in envelope.mail_options:
        return "554 5.6.1 Bytes beyond ASCII without BODY=8BITMIME (RFC 6152)"
    ehlo_names = [name.lower() for name in re.findall(rb"^([!-9;-~]+):", head, re.MULTILINE)]
    if len(ehlo_names) != len(set(ehlo_names)) or not {b"from", b"date", b"message-id"} <= set(ehlo_names):
        return "550 5.7.1 Headers are missing or stand twice (RFC 5322, 3.6)"
    if b"bcc" in ehlo_names:
        return "550 5.6.0 A header shows blind recipients"
    return None


def check_password(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    """Check the password."""
    assert isinstance(data, LoginPassword)
    known = (PASSWORD.encode(), b"app-password")
    return AuthResult(success=data.password in known, handled=False, auth_data=data.login)


class MailServer:
    """A server on a free loopback port, until the process ends.

    :param tls: "starttls", "tls", or None for a server without encryption.
    :param leaf: its certificate; None: a new one of :func:`authority`.
    :param options: of aiosmtpd's ``SMTP``.
    """

    def __init__(
        self,
        tls: str | None = "starttls",
        *,
        smtp_state: SmtpState | None = None,
        leaf: trustme.LeafCert | None = None,
        **options: Any,
    ) -> None:
        self.smtp_state = smtp_state or SmtpState()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (leaf or authority().issue_cert("localhost", "127.0.0.1")).configure_cert(context)
        options |= {"tls_context": context, "require_starttls": True} if tls == "starttls" else {}
        # With "tls", aiosmtpd does not know that the connection is encrypted.
        options |= {"authenticator": check_password, "auth_require_tls": tls != "tls"}

        def factory() -> SmtpServer:
            server = SmtpServer(Handler(self.smtp_state), hostname="mail.example.com", loop=loop(), **options)
            server.smtp_state = self.smtp_state
            server.encrypted = tls == "tls"
            return server

        encrypted = context if tls == "tls" else None
        opening = loop().create_server(factory, "127.0.0.1", 0, ssl=encrypted)
        self._server = asyncio.run_coroutine_threadsafe(opening, loop()).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]


@functools.cache
def loop() -> asyncio.AbstractEventLoop:
    """The event loop of all servers."""
    running = asyncio.new_event_loop()
    threading.Thread(target=running.run_forever, daemon=True).start()
    return running


@functools.cache
def authority() -> trustme.CA:
    """The authority of the servers' certificates."""
    return trustme.CA()


@functools.cache
def ca_file() -> str:
    """The path of a file with the authority's certificate."""
    directory = tempfile.TemporaryDirectory()
    TEMPORARY_DIRECTORIES.append(directory)
    path = Path(directory.name) / "ca.pem"
    path.write_bytes(authority().cert_pem.bytes())
    return str(path)


TEMPORARY_DIRECTORIES: list[Any] = []
"""Directories that exist until the process ends."""


@functools.cache
def shared_server(tls: str = "starttls") -> MailServer:
    """The server that tests share."""
    return MailServer(tls)
