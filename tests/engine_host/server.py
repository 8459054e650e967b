"""The engine's HTTP server: requests to triggers, and writes. The paths under ``/_host/`` control the host.

Every request but those of :data:`OPEN` must be authenticated.
"""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDict

from tests.engine_host.database import PRECISIONS, EmptyWriteError, LineWriteError
from tests.engine_host.plugin import PluginRequest
from tests.engine_host.response import EngineResponse
from tests.engine_host.workers import HandlerDownError

if TYPE_CHECKING:
    from tests.engine_host.host import EngineHost

MAX_BODY_BYTES = 10 * 1024 * 1024
"""The maximum body size, after decompression."""

OPEN = ("/health", "/api/v3/configure/token/admin")
"""The paths that need no token: the health check, and the creation of the first token."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpServer:
    """The server of one host, on loopback.

    :param port: 0: a free port.
    """

    def __init__(self, host: "EngineHost", port: int) -> None:
        self._host = host
        self.port = port

    async def start(self) -> None:
        """Bind the port and serve."""
        app = web.Application(client_max_size=0, middlewares=[self._authenticate])
        app.router.add_get("/health", self._health)
        app.router.add_post("/api/v3/configure/token/admin", self._create_token)
        app.router.add_get("/_host/logs", self._logs)
        app.router.add_get("/_host/lines", self._lines)
        app.router.add_post("/_host/triggers", _control_handler(self._create))
        app.router.add_delete("/_host/triggers/{name}", _control_handler(self._delete))
        app.router.add_post("/_host/run/{name}", _control_handler(self._run))
        app.router.add_post("/_host/flush", _control_handler(self._flush))
        app.router.add_post("/api/v3/write_lp", self._write)
        app.router.add_route("*", "/api/v3/engine/{route:.*}", self._request)
        app.on_response_prepare.append(_drop_default_content_type)
        # The handlers decompress bodies themselves, because the plugin must get the headers unchanged.
        self._runner = web.AppRunner(app, auto_decompress=False, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port and every connection."""
        await self._runner.cleanup()

    @web.middleware
    async def _authenticate(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        tokens = self._host.tokens
        if tokens is None or request.path in OPEN or tokens.admit(request.headers.get("Authorization")):
            return await handler(request)
        return _error(401, "the request was not authenticated")

    # Control of the host

    async def _logs(self, http: web.Request) -> web.Response:
        return web.json_response(self._host.logs(http.query.get("trigger")))

    async def _lines(self, http: web.Request) -> web.Response:
        lines = self._host.database.lines
        return web.json_response([line for database, line in lines if database == http.query["db"]])

    async def _create(self, http: web.Request) -> None:
        """``{"name", "path", "spec", "arguments", …}``: the parameters of :meth:`EngineHost.create_trigger`."""
        await self._host.on_loop_create(**await http.json())

    async def _delete(self, http: web.Request) -> None:
        await self._host.on_loop_delete(http.match_info["name"])

    async def _run(self, http: web.Request) -> None:
        await self._host.on_loop_run(http.match_info["name"])

    async def _flush(self, _http: web.Request) -> None:
        await self._host.on_loop_flush()

    # The server's API

    async def _health(self, _http: web.Request) -> web.Response:
        return web.Response(text="OK")

    async def _create_token(self, _http: web.Request) -> web.Response:
        """Create the operator token, which the server shows only once."""
        token = self._host.tokens.create_operator() if self._host.tokens else None
        if token is None:
            return _error(409, "token name already exists, _admin")
        return web.json_response({"token": token, "name": "_admin"}, status=201)

    async def _request(self, http: web.Request) -> web.StreamResponse:
        if http.method not in ("GET", "POST"):
            return _error(404, "not found")
        try:
            body = await _read_body(http)
        except _BodyError as error:
            return _error(error.status, str(error))
        headers = {name.lower(): value for name, value in http.headers.items() if name.lower() != "authorization"}
        request = PluginRequest(dict(parse_qsl(http.rel_url.raw_query_string, keep_blank_values=True)), headers, body)
        try:
            response = await self._host.on_loop_request(http.match_info["route"], request)
        except LookupError:
            return _error(404, "not found")
        except HandlerDownError:
            return _error(500, "request handler for trigger down")
        return _http_response(response)

    async def _write(self, http: web.Request) -> web.Response:
        """``db``, ``precision`` (auto), ``accept_partial`` (true) and ``no_sync`` (false), with line protocol."""
        precision = http.query.get("precision", "auto")
        flags = {
            name: http.query.get(name, default) for name, default in (("accept_partial", "true"), ("no_sync", "false"))
        }
        if "db" not in http.query:
            return _error(400, "missing query parameter: db")
        if precision not in PRECISIONS:
            return _error(400, f"unrecognized precision unit: {precision}")
        for name, flag in flags.items():
            if flag not in ("true", "false"):
                return _error(400, f"query parameter {name} is {flag!r}: it must be true or false")
        try:
            text = (await _read_body(http)).decode()
            written = self._host.database.write(
                http.query["db"], text, precision=precision, accept_partial=flags["accept_partial"] == "true"
            )
        except _BodyError as error:
            return _error(error.status, str(error))
        except UnicodeDecodeError as error:
            return _error(400, f"body content is not valid utf8: {error}")
        except EmptyWriteError as error:
            return web.Response(status=400, text=str(error))
        except LineWriteError as error:
            return _write_error("parsing failed for write_lp endpoint", error.as_dict())
        if flags["no_sync"] == "false":
            await asyncio.wrap_future(written.flushed)
        if written.rejected:
            return _write_error(
                "partial write of line protocol occurred", [line.as_dict() for line in written.rejected]
            )
        return web.Response(status=204)


def _control_handler(act: Callable[[web.Request], Awaitable[None]]) -> Handler:
    """A handler that responds ``{}``, or 400 if the action fails."""

    async def handle(http: web.Request) -> web.Response:
        try:
            await act(http)
        except (ValueError, TypeError, LookupError, FileNotFoundError) as error:
            return _error(400, f"{type(error).__name__}: {error}")
        return web.json_response({})

    return handle


class _BodyError(Exception):
    """A body that the server rejects before it calls a plugin."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def _read_body(http: web.Request) -> bytes:
    """The body, decompressed if it is gzip. Raises 413 for more than :data:`MAX_BODY_BYTES`."""
    encoding = http.headers.get("Content-Encoding", "identity")
    if encoding not in ("identity", "gzip"):
        raise _BodyError(400, f"invalid content encoding: {encoding}")
    body = bytearray()
    async for chunk in http.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _BodyError(413, "max request size exceeded")
    return _inflate(bytes(body)) if encoding == "gzip" else bytes(body)


def _inflate(body: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        inflated = inflater.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise _BodyError(400, f"error decoding gzip: {error}") from error
    if len(inflated) > MAX_BODY_BYTES:
        raise _BodyError(413, "max request size exceeded")
    return inflated


class _ResponseWithoutContentType(web.Response):
    """A response without ``Content-Type``, as the engine's errors are."""


def _error(status: int, text: str) -> web.Response:
    return _http_response(EngineResponse(status, json.dumps({"error": text})))


def _write_error(error: str, data: object) -> web.Response:
    return _http_response(EngineResponse(400, json.dumps({"error": error, "data": data})))


def _http_response(response: EngineResponse) -> web.Response:
    headers: CIMultiDict[str] = CIMultiDict(response.headers)
    kind = web.Response if "Content-Type" in headers else _ResponseWithoutContentType
    return kind(status=response.status, body=response.body.encode(), headers=headers)


async def _drop_default_content_type(_request: web.Request, response: web.StreamResponse) -> None:
    """Remove the header that the server library adds."""
    if isinstance(response, _ResponseWithoutContentType):
        response.headers.pop("Content-Type", None)
