"""A plain HTTP client: no proxies, no redirects, no default headers."""

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
class Response:
    """An HTTP response. ``elapsed`` is in seconds, from the connection to the end of the body."""

    status: int
    headers: list[tuple[str, str]]
    raw: bytes
    elapsed: float
    json: Any = None
    """The body as JSON; None: it is not JSON."""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.raw.decode("utf-8", "replace")

    def header(self, name: str) -> str | None:
        """The header's value, or None. Several values are separated by commas."""
        values = [value for known, value in self.headers if known.lower() == name.lower()]
        return ", ".join(values) if values else None


def http_request(method: str, url: str, *, body: bytes = b"", headers: Headers = (), timeout: float = 30.0) -> Response:
    """Send one request and read the response. ``timeout`` in seconds bounds each wait for the socket."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout)
    try:
        target = address.path + (f"?{address.query}" if address.query else "")
        return _exchange(connection, method, target, body, headers)
    finally:
        connection.close()


class Client:
    """Sends requests to one server over persistent connections, one for each thread."""

    def __init__(self, url: str, headers: Headers = ()) -> None:
        self._address = urlsplit(url)
        self._headers = list(headers.items() if isinstance(headers, Mapping) else headers)
        self._threads = threading.local()

    def request(self, method: str, target: str, body: bytes = b"") -> Response:
        """Send one request and read the response."""
        connection = getattr(self._threads, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=30)
            self._threads.connection = connection
        try:
            return _exchange(connection, method, target, body, self._headers)
        except BaseException:
            # The next request must not read the rest of this response, so it uses a new connection.
            connection.close()
            raise


def _exchange(
    connection: http.client.HTTPConnection, method: str, target: str, body: bytes, headers: Headers
) -> Response:
    started = time.monotonic()
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        connection.putheader(name, value.encode())
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    raw = response.read()
    return Response(response.status, response.getheaders(), raw, time.monotonic() - started, json=_json_or_none(raw))


def _json_or_none(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def encode_headers(headers: Mapping[str, str]) -> str:
    """Headers in the format of parameters such as ``slack_headers``: base64 of a JSON object."""
    return b64encode(json.dumps(headers).encode()).decode()
