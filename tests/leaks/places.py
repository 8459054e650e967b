"""Locations of secrets in a request or in the server's environment."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from tests.harness import encode_headers
from tests.leaks.secrets import NUMBERS, new_account, new_api_key, new_mailbox, new_number, new_secret


@dataclass(frozen=True)
class Place:
    """Locations of secrets in a request or in the server's environment."""

    name: str
    sender: str
    plant: Callable[[str, str], dict[str, str]]
    """(secret, base address that ends with a slash) to a sender's configuration."""
    make: Callable[[], str] = new_secret


def webhook(sender: str, path: str, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """A webhook's configuration."""
    configuration = {f"{sender}_webhook_url": path}
    if headers is not None:
        configuration[f"{sender}_headers"] = encode_headers(headers)
    return configuration


def in_path(sender: str) -> Callable[[str, str], dict[str, str]]:
    """A location at the end of a path."""
    return lambda secret, base: webhook(sender, f"{base}hook/{quote(secret, safe='')}")


def in_header(name: str) -> Callable[[str, str], dict[str, str]]:
    """A location in a header of the request."""
    return lambda secret, base: webhook("http", unique(base + "hook/"), {name: secret})


def unique(path: str) -> str:
    """A unique path."""
    return f"{path}{next(NUMBERS)}"


def userinfo(base: str, user: str, password: str) -> str:
    """A unique URL with user and password."""
    return unique(base.replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@") + "hook/")


def phone(**given: str) -> dict[str, str]:
    """A unique account and two numbers."""
    plain = {"twilio_sid": "AC" + f"{next(NUMBERS):032}", "twilio_token": "t0ken"}
    return plain | {"twilio_from_number": "+15017122661", "twilio_to_number": "+15558675310"} | given


def basic(user: str, password: str) -> str:
    """Credentials as a header has them."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


PLACES: list[Place] = [
    *(Place(f"path of {sender}", sender, in_path(sender)) for sender in ("slack", "discord", "http")),
    Place("deep in a path", "http", lambda s, base: webhook("http", f"{base}hook/a/{quote(s, '')}/b")),
    Place("query", "http", lambda s, base: webhook("http", unique(base + "hook/") + "?a=b&key=" + quote(s, ""))),
    Place(
        "query of discord", "discord", lambda s, base: webhook("discord", unique(base) + "?thread_id=" + quote(s, ""))
    ),
    Place("user", "http", lambda s, base: webhook("http", userinfo(base, s, "password"))),
    Place("password", "slack", lambda s, base: webhook("slack", userinfo(base, "user", s))),
    Place("header", "http", lambda s, base: webhook("http", unique(base + "hook/"), {"X-Api-Key": s})),
    *(Place(f"header {name}", "http", in_header(name)) for name in ("User-Agent", "Accept")),
    Place(
        "within User-Agent",
        "slack",
        lambda s, base: webhook("slack", unique(base), {"User-Agent": f"monitor/1.0 (token={s})"}),
    ),
    Place(
        "within Accept",
        "discord",
        lambda s, base: webhook("discord", unique(base), {"Accept": f"application/json; key={s}"}),
    ),
    Place("bearer", "slack", lambda s, base: webhook("slack", unique(base), {"Authorization": f"Bearer {s}"})),
    Place("basic", "discord", lambda s, base: webhook("discord", unique(base), {"authorization": basic("user", s)})),
    Place(
        "basic's user",
        "http",
        lambda s, base: webhook("http", unique(base + "hook/"), {"Authorization": basic(s, "p")}),
    ),
    Place("sid", "sms", lambda s, _: phone(twilio_sid=s), new_account),
    Place("token", "whatsapp", lambda s, _: phone(twilio_token=s)),
    Place("API key", "sms", lambda s, _: phone(twilio_sid=s, twilio_account_sid=new_account()), new_api_key),
    Place("account beside an API key", "sms", lambda s, _: phone(twilio_sid="SK0", twilio_account_sid=s), new_account),
    Place("to", "sms", lambda s, _: phone(twilio_to_number=s), new_number),
    Place("to by WhatsApp", "whatsapp", lambda s, _: phone(twilio_to_number=s), new_number),
    Place("from", "sms", lambda s, _: phone(twilio_from_number=s), new_number),
]


def mail(base: str, **given: str) -> dict[str, str]:
    """At a server without SMTP. ``tests/channels/test_email.py`` tests echoes of a mail server."""
    at = urlsplit(base)
    own = {"email_host": at.hostname or "", "email_port": str(at.port), "email_from": "alerts@example.com"}
    return {**own, "email_to": "a@example.com", "email_username": "me", "email_password": "p4ssword", **given}


MAILS: list[Place] = [
    Place("recipient", "email", lambda s, base: mail(base, email_to=s), new_mailbox),
    Place("copy", "email", lambda s, base: mail(base, email_cc=s), new_mailbox),
    Place("blind copy", "email", lambda s, base: mail(base, email_bcc=s), new_mailbox),
    Place("account", "email", lambda s, base: mail(base, email_username=s)),
    Place("password", "email", lambda s, base: mail(base, email_password=s)),
]
