"""The Processing Engine: its triggers, and the dispatch of requests, flushes and schedules to them."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

from tests.engine_host import line_builder
from tests.engine_host.calls import CallRunner
from tests.engine_host.database import Database, Query
from tests.engine_host.logs import LogRing
from tests.engine_host.plugin import PluginRequest
from tests.engine_host.response import EngineResponse
from tests.engine_host.server import HttpServer
from tests.engine_host.tokens import Tokens
from tests.engine_host.trigger import (
    DEFAULTS,
    ERROR_BEHAVIORS,
    OnRequest,
    OnSchedule,
    PluginFile,
    TriggerDefinition,
    TriggerOptions,
    parse_spec,
)
from tests.engine_host.workers import RequestWorker, ScheduleWorker, WriteWorker

T = TypeVar("T")
Worker = RequestWorker | ScheduleWorker | WriteWorker


class EngineHost:
    """A Processing Engine with one plugin directory, on a loopback port.

    :param plugin_dir: the directory of plugin files. It is not on ``sys.path``.
    :param database: the database of all triggers.
    :param flush_interval: seconds between two flushes of the write-ahead log, which write triggers are told of; who
        writes and waits, waits for the next one.
    :param authentication: False: as a server with ``--without-auth``.
    :param create_token: False: the server has no token, as after its first start.
    :param query: the function behind ``influxdb3_local.query``: (sql, args, database) to rows.
    """

    def __init__(
        self,
        plugin_dir: Path | str,
        *,
        database: str = "notifications",
        port: int = 0,
        flush_interval: float = 1.0,
        authentication: bool = True,
        create_token: bool = True,
        query: Query | None = None,
    ) -> None:
        self.plugin_dir = Path(plugin_dir).resolve()
        self.database = Database(database, flush_interval)
        if query is not None:
            self.database.query = query
        self.tokens = Tokens() if authentication else None
        if self.tokens and create_token:
            self.tokens.create_operator()
        self.log_ring = LogRing()
        self._calls = CallRunner(self.database, self.log_ring)
        self._triggers: dict[str, TriggerDefinition] = {}
        self._workers: dict[str, Worker] = {}
        self._routes: dict[str, RequestWorker] = {}
        self._server = HttpServer(self, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine-host", daemon=True)
        self._virtual_env_before: str | None = None

    # For tests and the command line, from any thread.

    @property
    def port(self) -> int:
        """The port of the server."""
        return self._server.port

    @property
    def url(self) -> str:
        """The base address; triggers are under ``/api/v3/engine/``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str | None:
        """The token for requests; None: authentication is off, or no token was created."""
        return self.tokens.operator if self.tokens else None

    def start(self) -> Self:
        """Bind the port and serve. Sets ``VIRTUAL_ENV`` as the engine does, until :meth:`stop`."""
        line_builder.install()
        self._virtual_env_before = os.environ.get("VIRTUAL_ENV")
        os.environ["VIRTUAL_ENV"] = str(self.plugin_dir / ".venv")
        self._thread.start()
        self._run(self._start())
        return self

    def stop(self) -> None:
        """Close the server. Running calls end before the interpreter does."""
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._calls.close()
        # A host that was started later has set the variable again.
        if os.environ.get("VIRTUAL_ENV") != str(self.plugin_dir / ".venv"):
            return
        if self._virtual_env_before is None:
            os.environ.pop("VIRTUAL_ENV", None)
        else:
            os.environ["VIRTUAL_ENV"] = self._virtual_env_before

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def create_trigger(self, name: str, **options: Unpack[TriggerOptions]) -> None:
        """Create and enable a trigger. Checks only that the plugin file exists."""
        self._run(self.on_loop_create(name, **options))

    def delete_trigger(self, name: str) -> None:
        """Disable and delete a trigger."""
        self._run(self.on_loop_delete(name))

    def disable(self, name: str) -> None:
        """Stop a trigger, clear its cache, and remove its request route, even if another trigger has replaced it.

        A synchronous one is waited for, but for its schedule: while a write trigger retries, that is for ever.
        """
        self._run(self._disable(self._triggers[name]))

    def enable(self, name: str) -> None:
        """Start the trigger. It replaces another trigger on the same route."""
        if name not in self._workers:
            self._run(self._enable(self._triggers[name]))

    def run_schedule(self, name: str) -> None:
        """Make a scheduled trigger's call now, and wait until it returns."""
        self._run(self.on_loop_run(name))

    def flush(self) -> None:
        """Flush the write-ahead log. Returns when every write trigger is notified, which may be before its call."""
        self._run(self.on_loop_flush())

    def logs(self, trigger: str | None = None) -> list[dict[str, str]]:
        """Rows of ``system.processing_engine_logs``, oldest first."""
        return self.log_ring.rows(trigger)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    # For the server's event loop.

    async def _start(self) -> None:
        # One lock for all channels: a sender that waits for one full channel blocks all others.
        self._engine_lock = asyncio.Lock()
        self._disabling: set[asyncio.Task[None]] = set()
        self._flusher = asyncio.create_task(self._flush_periodically())
        await self._server.start()

    async def _stop(self) -> None:
        """Close all connections immediately, as the end of a process does."""
        self.database.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        await self._server.stop()

    async def on_loop_create(self, name: str, **options: Unpack[TriggerOptions]) -> None:
        """As :meth:`create_trigger`."""
        if unknown := options.keys() - DEFAULTS.keys():
            raise TypeError(f"a trigger has no {', '.join(sorted(unknown))}")
        asked: TriggerOptions = {**DEFAULTS, **options}
        path = asked["path"]
        if not (self.plugin_dir / path).is_file():
            raise FileNotFoundError(f"error reading file {path}: no such file in the plugin directory")
        if asked["error_behavior"] not in ERROR_BEHAVIORS:
            raise ValueError(f"error behavior {asked['error_behavior']!r} is none of {', '.join(ERROR_BEHAVIORS)}")
        if name in self._triggers:
            raise ValueError(f"trigger {name} already exists")
        trigger = TriggerDefinition(
            name,
            PluginFile(self.plugin_dir / path),
            parse_spec(asked["spec"]),
            asked["arguments"] or None,
            asked["run_asynchronous"],
            asked["error_behavior"],
        )
        self._triggers[name] = trigger
        await self._enable(trigger)

    async def on_loop_delete(self, name: str) -> None:
        """As :meth:`delete_trigger`."""
        await self._disable(self._triggers[name])
        del self._triggers[name]

    async def on_loop_run(self, name: str) -> None:
        """As :meth:`run_schedule`."""
        worker = self._workers.get(name)
        if not isinstance(worker, ScheduleWorker):
            raise ValueError(f"there is no enabled scheduled trigger {name!r}")
        await worker.run(datetime.now(UTC).replace(microsecond=0))

    async def on_loop_request(self, route: str, request: PluginRequest) -> EngineResponse:
        """Send the request to its trigger and wait for the response. LookupError: there is no trigger."""
        reply: asyncio.Future[EngineResponse] = asyncio.get_running_loop().create_future()
        async with self._engine_lock:
            await self._routes[route].send((request, reply))
        return await reply

    async def on_loop_flush(self) -> None:
        """As :meth:`flush`. Without new lines the triggers are not notified."""
        batches, flushed = self.database.take_unflushed()
        try:
            if batches:
                async with self._engine_lock:
                    for worker in self._workers.values():
                        if isinstance(worker, WriteWorker):
                            await worker.send(batches)
        finally:
            flushed.set_result(None)

    async def _flush_periodically(self) -> None:
        while True:
            await asyncio.sleep(self.database.until_flush())
            await self.on_loop_flush()

    async def _enable(self, trigger: TriggerDefinition) -> None:
        occasion = trigger.occasion
        async with self._engine_lock:
            if isinstance(occasion, OnRequest):
                worker = self._routes[occasion.route] = RequestWorker(trigger, self._calls)
                self._workers[trigger.name] = worker
            elif isinstance(occasion, OnSchedule):
                self._workers[trigger.name] = ScheduleWorker(trigger, occasion, self._calls, self._disable_soon)
            else:
                self._workers[trigger.name] = WriteWorker(trigger, occasion, self._calls, self._disable_soon)

    async def _disable(self, trigger: TriggerDefinition) -> None:
        async with self._engine_lock:
            worker = self._workers.pop(trigger.name, None)
            if worker is None:
                return
            if isinstance(trigger.occasion, OnRequest):
                self._routes.pop(trigger.occasion.route, None)
            await worker.close()
        await asyncio.wait([worker.task])
        self._calls.caches.drop(trigger.name)

    def _disable_soon(self, trigger: TriggerDefinition) -> None:
        task = asyncio.create_task(self._disable(trigger))
        self._disabling.add(task)
        task.add_done_callback(self._disabling.discard)
