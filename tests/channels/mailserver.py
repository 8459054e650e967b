"""A mail server in this process that does as it is told, and knows what it was told.

It is as strict as any: what a server in the wild may refuse is refused here, and noted as a problem.
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
"""Of every account, beside the documentation's; any other is refused."""


@dataclass
class Mail:
    """A mail that was sent up to its final dot, whatever was answered."""

    sender: str
    recipient: str
    content: bytes
    encrypted: bool
    login: str | None

    @property
    def message(self) -> EmailMessage:
        """As a mail program reads it."""
        message = email.message_from_bytes(self.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        assert message.defects == []
        return message

    def part(self, kind: str) -> str:
        """The text of ``plain`` or ``html``, with the line ends of Python."""
        body = self.message.get_body((kind,))
        assert isinstance(body, EmailMessage)
        return str(body.get_content()).replace("\r\n", "\n")


@dataclass
class Order:
    """What to do at a stage: say this, close the connection (None), or wait first."""

    stage: str
    reply: str | None
    recipient: str | None = None
    times: int = -1
    after: float = 0


@dataclass
class Book:
    """Orders, and what has happened: several servers may write into one."""

    orders: list[Order] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    commands: list[tuple[str, bool]] = field(default_factory=list)
    """Each command by its name, and whether it came encrypted."""
    names: list[str] = field(default_factory=list)
    """By which clients called themselves."""
    problems: list[str] = field(default_factory=list)
    """What a client did that no server need bear."""
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Forget all."""
        with self.lock:
            self.orders, self.mails, self.commands = [], [], []
            self.names, self.problems = [], []

    def find(self, stage: str, addresses: Iterable[str]) -> Order | None:
        """The order for a stage, which it uses up."""
        with self.lock:
            for order in self.orders:
                fits = order.recipient is None or order.recipient in addresses
                if order.stage == stage and order.times != 0 and fits:
                    order.times -= 1
                    return order
        return None

    def to(self, recipient: str) -> list[Mail]:
        """The mails that were sent to somebody."""
        with self.lock:
            return [mail for mail in self.mails if mail.recipient == recipient]

    def wait_for_farewell(self) -> None:
        """Until QUIT was said, which is when the delivery is over already."""
        deadline = time.monotonic() + 5
        while self.commands[-1][0] != "QUIT":
            assert time.monotonic() < deadline
            time.sleep(0.005)


class SmtpServer(SMTP):
    """Looks for an order before it does what a mail server does."""

    book: Book
    encrypted = False
    """From the first byte, of which the protocol here does not know."""
    greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.transport is None:
            self.book.connections += 1
        super().connection_made(transport)

    async def push(self, status: Any) -> None:
        words = status.encode() if isinstance(status, str) else status
        if not self.greeted:
            self.greeted = True
            await self.obey("GREETING", super().push(words), [])
        else:
            await super().push(words)

    async def obey(self, stage: str, otherwise: Any, addresses: list[str]) -> None:
        """Do what is ordered, or the usual."""
        if stage != "GREETING":
            self.book.commands.append((stage, self.session is not None and self.session.ssl is not None))
        order = self.book.find(stage, addresses)
        if order is None:
            await otherwise
            return
        otherwise.close()
        await asyncio.sleep(order.after)
        await self.say(order)

    async def say(self, order: Order) -> None:
        """The ordered words, or the end of the connection."""
        if order.reply is None:
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.abort()
        else:
            await super().push(order.reply.encode())

    async def refuse(self, reply: str) -> None:
        """Refuse what no client should do."""
        self.book.problems.append(reply)
        await super().push(reply)

    async def smtp_EHLO(self, hostname: str) -> None:
        self.book.names.append(hostname)
        is_name = EHLO_NAME.fullmatch(hostname or "")
        usual = super().smtp_EHLO(hostname) if is_name else self.refuse("501 5.5.4 Invalid domain name")
        await self.obey("EHLO", usual, [])

    async def smtp_STARTTLS(self, arg: str) -> None:
        await self.obey("STARTTLS", super().smtp_STARTTLS(arg), [])

    async def smtp_AUTH(self, arg: str) -> None:
        usual = super().smtp_AUTH(arg) if self.may_log_in() else self.refuse("538 5.7.11 Encryption required")
        await self.obey("AUTH", usual, [])

    def may_log_in(self) -> bool:
        """Never before encryption."""
        return self.encrypted or (self.session is not None and self.session.ssl is not None)

    async def smtp_MAIL(self, arg: str) -> None:
        is_beyond_ascii = not arg.isascii() and "SMTPUTF8" not in arg.upper().split()
        usual = self.refuse("553 5.6.7 SMTPUTF8 was not asked for") if is_beyond_ascii else super().smtp_MAIL(arg)
        await self.obey("MAIL", usual, [])

    async def smtp_RCPT(self, arg: str) -> None:
        envelope = self.envelope
        if envelope is not None and not arg.isascii() and not envelope.smtp_utf8:
            usual = self.refuse("553 5.6.7 SMTPUTF8 was not asked for")
        elif envelope is not None and envelope.rcpt_tos:
            usual = self.refuse("452 4.5.3 Too many recipients: each gets a mail of its own")
        else:
            usual = super().smtp_RCPT(arg)
        await self.obey("RCPT", usual, [arg.partition("<")[2].partition(">")[0]])

    async def smtp_DATA(self, arg: str) -> None:
        recipients = self.envelope.rcpt_tos if self.envelope else []
        await self.obey("DATA", super().smtp_DATA(arg), recipients)

    async def smtp_QUIT(self, arg: str) -> None:
        await self.obey("QUIT", super().smtp_QUIT(arg), [])


class Handler:
    """Takes each mail, or answers what is ordered after the final dot."""

    def __init__(self, book: Book) -> None:
        self.book = book

    async def handle_DATA(self, server: SmtpServer, session: Session, envelope: Envelope) -> str:
        """After the final dot."""
        [recipient] = envelope.rcpt_tos
        login = session.auth_data.decode() if isinstance(session.auth_data, bytes) else None
        assert isinstance(envelope.original_content, bytes)
        problem = defect(envelope)
        if problem is not None:
            self.book.problems.append(problem)
            return problem
        mail = Mail(str(envelope.mail_from), recipient, envelope.original_content, session.ssl is not None, login)
        with self.book.lock:
            self.book.mails.append(mail)
            number = len(self.book.mails)
        order = self.book.find("MESSAGE", [recipient])
        if order is None:
            return f"250 2.0.0 Ok: queued as 4F{number:04}"
        await asyncio.sleep(order.after)
        if order.reply is None:
            await server.say(order)
        return "250 nobody hears it" if order.reply is None else order.reply


EHLO_NAME = re.compile(
    r"\[\d+\.\d+\.\d+\.\d+\]|\[IPv6:[0-9a-fA-F:.]+\]"
    r"|(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    re.IGNORECASE,
)
"""A domain, or an address literal (RFC 5321, 4.1.1.1 and 4.1.3)."""


def defect(envelope: Envelope) -> str | None:
    """What is wrong with a mail, as the reply that refuses it."""
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
    names = [name.lower() for name in re.findall(rb"^([!-9;-~]+):", head, re.MULTILINE)]
    if len(names) != len(set(names)) or not {b"from", b"date", b"message-id"} <= set(names):
        return "550 5.7.1 Headers are missing or stand twice (RFC 5322, 3.6)"
    if b"bcc" in names:
        return "550 5.6.0 A header shows blind recipients"
    return None


def knows(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    """Whether the password is the right one."""
    assert isinstance(data, LoginPassword)
    known = (PASSWORD.encode(), b"app-password")
    return AuthResult(success=data.password in known, handled=False, auth_data=data.login)


class MailServer:
    """A server on a free port of loopback, until the process ends.

    :param tls: "starttls", "tls", or None for one that never encrypts.
    :param leaf: its certificate; one that :func:`authority` has given it if absent.
    :param options: of aiosmtpd's ``SMTP``.
    """

    def __init__(
        self,
        tls: str | None = "starttls",
        *,
        book: Book | None = None,
        leaf: trustme.LeafCert | None = None,
        **options: Any,
    ) -> None:
        self.book = book or Book()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (leaf or authority().issue_cert("localhost", "127.0.0.1")).configure_cert(context)
        options |= {"tls_context": context, "require_starttls": True} if tls == "starttls" else {}
        # What is encrypted from the first byte does not know that it is.
        options |= {"authenticator": knows, "auth_require_tls": tls != "tls"}

        def factory() -> SmtpServer:
            server = SmtpServer(Handler(self.book), hostname="mail.example.com", loop=loop(), **options)
            server.book = self.book
            server.encrypted = tls == "tls"
            return server

        encrypted = context if tls == "tls" else None
        opening = loop().create_server(factory, "127.0.0.1", 0, ssl=encrypted)
        self._server = asyncio.run_coroutine_threadsafe(opening, loop()).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]


@functools.cache
def loop() -> asyncio.AbstractEventLoop:
    """Where all servers run."""
    running = asyncio.new_event_loop()
    threading.Thread(target=running.run_forever, daemon=True).start()
    return running


@functools.cache
def authority() -> trustme.CA:
    """The authority of the servers' certificates."""
    return trustme.CA()


@functools.cache
def ca_file() -> str:
    """Its certificate, in a file."""
    directory = tempfile.TemporaryDirectory()
    KEPT.append(directory)
    path = Path(directory.name) / "ca.pem"
    path.write_bytes(authority().cert_pem.bytes())
    return str(path)


KEPT: list[Any] = []
"""What goes with the process."""


@functools.cache
def shared(tls: str = "starttls") -> MailServer:
    """The server of all tests that need none of their own."""
    return MailServer(tls)
