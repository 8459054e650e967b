"""The engine's HTTP server, its triggers and their queues."""

import asyncio
import json
import os
import threading
import zlib
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDict

from tests.engine_host import line_builder
from tests.engine_host.answer import Answer
from tests.engine_host.local import Cache, CacheStore, Database, Local, Query
from tests.engine_host.logs import LogRing
from tests.engine_host.plugin import Request, call_request_plugin
from tests.engine_host.trigger import Trigger, parse_request_spec

BLOCKING_THREADS = 512
"""Threads that calls run on, for all triggers together."""
CHANNEL_PLACES = 60
"""Requests that wait for one trigger before the senders wait, and with them the whole engine."""
MAX_BODY_BYTES = 10 * 1024 * 1024
"""The largest body, after inflating."""
ROUTE_PREFIX = "/api/v3/engine/"

T = TypeVar("T")


class HandlerDownError(Exception):
    """The trigger was disabled or deleted while its call was under way."""


class _Worker:
    """An enabled trigger: its channel and the task that empties it."""

    def __init__(self, host: "EngineHost", trigger: Trigger) -> None:
        self.trigger = trigger
        self.channel: asyncio.Queue[tuple[Request, asyncio.Future[Answer]] | None] = asyncio.Queue(CHANNEL_PLACES)
        self._host = host
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Take calls until the closing None: one after the other, or all at once when asynchronous."""
        running: set[asyncio.Task[None]] = set()
        while (call := await self.channel.get()) is not None:
            task = asyncio.create_task(self._answer(*call))
            if self.trigger.run_asynchronous:
                running.add(task)
                task.add_done_callback(running.discard)
            else:
                await task
        # The calls go on in their threads; only nobody waits for them any more.
        for task in list(running):
            task.cancel()

    async def _answer(self, request: Request, answer: "asyncio.Future[Answer]") -> None:
        try:
            result, held_back = await asyncio.get_running_loop().run_in_executor(
                self._host.pool, self._host.call, self.trigger, request
            )
            await asyncio.sleep(held_back)
            if not answer.done():
                answer.set_result(result)
        except asyncio.CancelledError:
            if not answer.done():
                answer.set_exception(HandlerDownError())


class EngineHost:
    """A Processing Engine with one plugin directory, on a loopback port of its own.

    :param plugin_dir: where plugin files are looked up; it is not put on ``sys.path``.
    :param flush_interval: seconds between two flushes of the write-ahead log; ``write`` and a ``write_sync`` that
        waits hold back until the next one.
    :param query: answers ``influxdb3_local.query``: (sql, args, database) to rows.
    """

    def __init__(
        self,
        plugin_dir: Path | str,
        *,
        database: str = "notifications",
        port: int = 0,
        flush_interval: float = 1.0,
        query: Query | None = None,
    ) -> None:
        self.plugin_dir = Path(plugin_dir).resolve()
        self.database = Database(database, flush_interval)
        if query is not None:
            self.database.query = query
        self.port = port
        self.log_ring = LogRing()
        self.pool = ThreadPoolExecutor(BLOCKING_THREADS, thread_name_prefix="engine-call")
        self._caches = CacheStore()
        self._triggers: dict[str, Trigger] = {}
        self._workers: dict[str, _Worker] = {}
        self._routes: dict[str, _Worker] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine-host", daemon=True)
        self._virtual_env_before: str | None = None

    # What a test or the command line calls, from any thread.

    @property
    def url(self) -> str:
        """The base address; triggers are under ``/api/v3/engine/``."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Bind the port and serve. Sets ``VIRTUAL_ENV`` as the engine does, until :meth:`stop`."""
        line_builder.install()
        self._virtual_env_before = os.environ.get("VIRTUAL_ENV")
        os.environ["VIRTUAL_ENV"] = str(self.plugin_dir / ".venv")
        self._thread.start()
        self._run(self._serve())
        return self

    def stop(self) -> None:
        """Close the server. Calls that run are not waited for here, but at the interpreter's end."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.pool.shutdown(wait=False, cancel_futures=True)
        # A host that was started meanwhile has set its own.
        if os.environ.get("VIRTUAL_ENV") != str(self.plugin_dir / ".venv"):
            return
        if self._virtual_env_before is None:
            del os.environ["VIRTUAL_ENV"]
        else:
            os.environ["VIRTUAL_ENV"] = self._virtual_env_before

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def create_trigger(
        self,
        name: str,
        *,
        path: str = "notifier_plugin.py",
        spec: str = "request:notify",
        arguments: dict[str, str] | None = None,
        run_asynchronous: bool = True,
    ) -> None:
        """Create and enable a trigger. Of the plugin file only the existence is checked."""
        self._run(self._enable(self._new_trigger(name, path, spec, arguments, run_asynchronous)))

    def _new_trigger(
        self, name: str, path: str, spec: str, arguments: dict[str, str] | None, run_asynchronous: bool
    ) -> Trigger:
        plugin = self.plugin_dir / path
        if not plugin.is_file():
            raise FileNotFoundError(f"error reading file {path}: no such file in the plugin directory")
        trigger = Trigger(name, plugin, parse_request_spec(spec), arguments or None, run_asynchronous)
        if name in self._triggers:
            raise ValueError(f"trigger {name} already exists")
        self._triggers[name] = trigger
        return trigger

    def delete_trigger(self, name: str) -> None:
        """Disable and forget a trigger, its cache too."""
        self.disable(name)
        del self._triggers[name]
        self._caches.drop(name)

    def disable(self, name: str) -> None:
        """Remove the trigger's route, whichever trigger answers there, and stop taking calls."""
        self._run(self._disable(self._triggers[name]))

    def enable(self, name: str) -> None:
        """Put the trigger on its route, in place of another that may be there."""
        if name not in self._workers:
            self._run(self._enable(self._triggers[name]))

    def logs(self, trigger: str | None = None) -> list[dict[str, str]]:
        """Rows of ``system.processing_engine_logs``, oldest first."""
        return self.log_ring.rows(trigger)

    # What runs on the server's loop.

    async def _serve(self) -> None:
        # One lock for all channels: who waits for a place in one holds up everybody else.
        self._engine_lock = asyncio.Lock()
        app = web.Application(client_max_size=0)
        app.router.add_get("/_host/logs", self._serve_logs)
        app.router.add_post("/_host/triggers", self._serve_create)
        app.router.add_delete("/_host/triggers/{name}", self._serve_delete)
        app.router.add_route("*", ROUTE_PREFIX + "{route:.*}", self._serve_request)
        app.on_response_prepare.append(_drop_default_content_type)
        # The handler inflates by itself: the plugin must see the header fields as they came.
        self._runner = web.AppRunner(app, auto_decompress=False, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        for worker in self._workers.values():
            worker.task.cancel()
        await self._runner.cleanup()

    async def _enable(self, trigger: Trigger) -> None:
        async with self._engine_lock:
            worker = _Worker(self, trigger)
            self._workers[trigger.name] = worker
            self._routes[trigger.route] = worker

    async def _disable(self, trigger: Trigger) -> None:
        async with self._engine_lock:
            worker = self._workers.pop(trigger.name, None)
            if worker is None:
                return
            self._routes.pop(trigger.route, None)
            # Closing passes through the channel: a synchronous trigger first empties it.
            await worker.channel.put(None)
            await worker.task

    async def _serve_logs(self, request: web.Request) -> web.Response:
        return web.json_response(self.logs(request.query.get("trigger")))

    async def _serve_create(self, request: web.Request) -> web.Response:
        """``{"name", "path", "spec", "arguments", "run_asynchronous"}``, as :meth:`create_trigger` takes them."""
        await self._enable(self._new_trigger(**await request.json()))
        return web.json_response({})

    async def _serve_delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        await self._disable(self._triggers.pop(name))
        self._caches.drop(name)
        return web.json_response({})

    async def _serve_request(self, http: web.Request) -> web.StreamResponse:
        if http.method not in ("GET", "POST"):
            return _error(404, "not found")
        try:
            body = await _read_body(http)
        except _BodyError as error:
            return _error(error.status, str(error))
        headers = {name.lower(): value for name, value in http.headers.items() if name.lower() != "authorization"}
        request = Request(dict(parse_qsl(http.rel_url.raw_query_string, keep_blank_values=True)), headers, body)
        answer = await self._send(http.match_info["route"], request)
        return answer if isinstance(answer, web.Response) else _response(answer)

    async def _send(self, route: str, request: Request) -> Answer | web.Response:
        """Put the request into its trigger's channel and wait for the answer."""
        reply: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        async with self._engine_lock:
            worker = self._routes.get(route)
            if worker is None:
                return _error(404, "not found")
            await worker.channel.put((request, reply))
        try:
            return await reply
        except HandlerDownError:
            return _error(500, "request handler for trigger down")

    def call(self, trigger: Trigger, request: Request) -> tuple[Answer, float]:
        """Run one call on the current thread: its answer, and the seconds that it is held back."""
        cache = Cache(self._caches, trigger.name)
        local = Local(trigger.name, self.log_ring, cache, self.database)
        try:
            answer = call_request_plugin(trigger.plugin, local, request, trigger.arguments, self.log_ring, trigger.name)
        finally:
            held_back = local.close()
        return answer, held_back

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


class _BodyError(Exception):
    """A body that the server refuses before any plugin sees it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def _read_body(http: web.Request) -> bytes:
    """The body, inflated when it came as gzip; over :data:`MAX_BODY_BYTES` 413."""
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


class _Untyped(web.Response):
    """An answer without ``Content-Type``, as the engine's own errors are."""


def _error(status: int, text: str) -> web.Response:
    return _response(Answer(status, json.dumps({"error": text})))


def _response(answer: Answer) -> web.Response:
    headers: CIMultiDict[str] = CIMultiDict(answer.headers)
    kind = web.Response if "Content-Type" in headers else _Untyped
    return kind(status=answer.status, body=answer.body.encode(), headers=headers)


async def _drop_default_content_type(_request: web.Request, response: web.StreamResponse) -> None:
    """Take out what the server library adds by itself."""
    if isinstance(response, _Untyped):
        response.headers.pop("Content-Type", None)
