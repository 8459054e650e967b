"""Execution of all triggers' calls on a thread pool."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.engine_host.database import Database, EmptyWriteError, LineWriteError
from tests.engine_host.local import Cache, CacheStore, Local
from tests.engine_host.logs import LogRing
from tests.engine_host.trigger import TriggerDefinition

BLOCKING_THREADS = 512
"""The number of threads for calls, for all triggers together."""

T = TypeVar("T")


class CallRunner:
    """Runs calls of plugins, and writes the lines that they collected to the database."""

    def __init__(self, database: Database, logs: LogRing) -> None:
        self.database = database
        self.logs = logs
        self.caches = CacheStore()
        self._pool = ThreadPoolExecutor(BLOCKING_THREADS, thread_name_prefix="engine-call")

    async def run(self, trigger: TriggerDefinition, kind: str, call: Callable[[Local], T]) -> T:
        """Run ``call`` on a thread, and return its result when its lines are flushed.

        What a call collected that raised is lost. Who no longer waits here has no influence on the thread.

        :param kind: the plugin's type in the engine's log: request plugin, schedule plugin or wal plugin.
        """
        value, collected = await asyncio.get_running_loop().run_in_executor(self._pool, self._on_thread, trigger, call)
        for database, lines in collected.items():
            try:
                written = self.database.write(database, "\n".join(lines))
            except (EmptyWriteError, LineWriteError) as error:
                self.logs.record(
                    trigger.name, "ERROR", f"error running {kind}: error writing back lines to {database}: {error}"
                )
            else:
                await asyncio.wrap_future(written.flushed)
        return value

    def _on_thread(self, trigger: TriggerDefinition, call: Callable[[Local], T]) -> tuple[T, dict[str, list[str]]]:
        local = Local(trigger.name, self.logs, Cache(self.caches, trigger.name), self.database)
        try:
            value = call(local)
        finally:
            collected = local.close()
        return value, collected

    def close(self) -> None:
        """Reject further calls. Running calls end before the interpreter does."""
        self._pool.shutdown(wait=False, cancel_futures=True)
