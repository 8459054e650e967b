"""Calls of all triggers: threads to run them on, and what they share."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.engine_host.database import Database, EmptyWriteError, LineWriteError
from tests.engine_host.local import Cache, CacheStore, Local
from tests.engine_host.logs import LogRing
from tests.engine_host.trigger import Trigger

BLOCKING_THREADS = 512
"""Threads that calls run on, for all triggers together."""

T = TypeVar("T")


class Calls:
    """Runs calls of plugins and writes back what they collected."""

    def __init__(self, database: Database, logs: LogRing) -> None:
        self.database = database
        self.logs = logs
        self.caches = CacheStore()
        self._pool = ThreadPoolExecutor(BLOCKING_THREADS, thread_name_prefix="engine-call")

    async def run(self, trigger: Trigger, kind: str, call: Callable[[Local], T]) -> T:
        """Run ``call`` on a thread of its own and return what it returns, once what it collected is flushed.

        What a call collected that raised is lost. Who no longer waits here has no influence on the thread.

        :param kind: what the engine calls the plugin in its log: request plugin, schedule plugin or wal plugin.
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

    def _on_thread(self, trigger: Trigger, call: Callable[[Local], T]) -> tuple[T, dict[str, list[str]]]:
        local = Local(trigger.name, self.logs, Cache(self.caches, trigger.name), self.database)
        try:
            value = call(local)
        finally:
            collected = local.close()
        return value, collected

    def close(self) -> None:
        """Take no more calls. Those that run are not waited for here, but at the interpreter's end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
