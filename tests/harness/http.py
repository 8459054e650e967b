"""HTTP, as it stands on the wire: no proxy, no redirect, no header that was not asked for."""

import http.client
import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass
class Answer:
    """An HTTP answer. ``elapsed`` is in seconds, from before the connection to after the body."""

    status: int
    headers: list[tuple[str, str]]
    raw: bytes
    elapsed: float
    json: Any = None
    """The body read as JSON; None when it is none."""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.raw.decode("utf-8", "replace")

    def header(self, name: str) -> str | None:
        """The header's value, or None; where it stands twice, both, separated by a comma."""
        values = [value for known, value in self.headers if known.lower() == name.lower()]
        return ", ".join(values) if values else None


def http_request(method: str, url: str, *, body: bytes = b"", headers: Headers = (), timeout: float = 30.0) -> Answer:
    """Send one request and read the whole answer; ``timeout`` in seconds bounds each wait for the socket."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout)
    try:
        target = address.path + (f"?{address.query}" if address.query else "")
        return _exchange(connection, method, target, body, headers)
    finally:
        connection.close()


class Client:
    """Sends requests to one server by connections that stay open, one for each thread."""

    def __init__(self, url: str, headers: Headers = ()) -> None:
        self._address = urlsplit(url)
        self._headers = list(headers.items() if isinstance(headers, Mapping) else headers)
        self._threads = threading.local()

    def request(self, method: str, target: str, body: bytes = b"") -> Answer:
        """Send one request and read the whole answer."""
        connection = getattr(self._threads, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=30)
            self._threads.connection = connection
        try:
            return _exchange(connection, method, target, body, self._headers)
        except BaseException:
            # Whatever is still on its way must not answer the next request. That one connects again.
            connection.close()
            raise


def _exchange(
    connection: http.client.HTTPConnection, method: str, target: str, body: bytes, headers: Headers
) -> Answer:
    started = time.monotonic()
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        connection.putheader(name, value.encode())
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    raw = response.read()
    return Answer(response.status, response.getheaders(), raw, time.monotonic() - started, json=_json_or_none(raw))


def _json_or_none(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def encode_headers(headers: Mapping[str, str]) -> str:
    """Headers in the form of ``slack_headers`` and its like: base64 of a JSON object."""
    return b64encode(json.dumps(headers).encode()).decode()
