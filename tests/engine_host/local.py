"""``influxdb3_local``: the engine's interface for plugins, with its rules about threads."""

import threading
import time
from collections.abc import Mapping
from typing import Protocol

from tests.engine_host.database import Database, EmptyWriteError, LineWriteError
from tests.engine_host.logs import LogRing


class PanicException(BaseException):
    """The exception of a panic in the engine. ``except Exception`` does not catch it."""


class Line(Protocol):
    """Anything that builds a line of line protocol."""

    def build(self) -> str:
        """The line."""


class CacheStore:
    """The entries of all caches by (namespace, key); the namespace None is the global one."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str | None, str], tuple[object, float | None]] = {}
        self._lock = threading.Lock()

    def put(self, namespace: str | None, key: str, value: object, ttl: float | None) -> None:
        """Keep ``value``, for ``ttl`` seconds if given."""
        if ttl is not None and ttl < 0:
            raise ValueError("can not convert float seconds to Duration: value is negative")
        expires_at = None if ttl is None else time.monotonic() + ttl
        with self._lock:
            self._entries[namespace, key] = (value, expires_at)

    def get(self, namespace: str | None, key: str, default: object) -> object:
        """The value under ``key`` unless it is absent or has expired."""
        with self._lock:
            value, expires_at = self._entries.get((namespace, key), (default, None))
            if expires_at is not None and expires_at <= time.monotonic():
                del self._entries[namespace, key]
                return default
            return value

    def delete(self, namespace: str | None, key: str) -> bool:
        """Remove ``key``; whether it was there."""
        with self._lock:
            return self._entries.pop((namespace, key), None) is not None

    def drop(self, namespace: str) -> None:
        """Remove all entries of a deleted trigger."""
        with self._lock:
            for entry in [entry for entry in self._entries if entry[0] == namespace]:
                del self._entries[entry]


class Cache:
    """``influxdb3_local.cache``: of the trigger alone unless ``use_global``."""

    def __init__(self, store: CacheStore, trigger_name: str) -> None:
        self._store = store
        self._trigger_name = trigger_name

    def put(self, key: str, value: object, ttl: float | None = None, use_global: bool | None = None) -> None:
        """Keep any Python object, for ``ttl`` seconds if given."""
        self._store.put(self._namespace(use_global), key, value, ttl)

    def get(self, key: str, default: object = None, use_global: bool | None = None) -> object:
        """The object under ``key``, else ``default``."""
        return self._store.get(self._namespace(use_global), key, default)

    def delete(self, key: str, use_global: bool | None = None) -> bool:
        """Remove ``key``; whether it was there."""
        return self._store.delete(self._namespace(use_global), key)

    def _namespace(self, use_global: bool | None) -> str | None:
        return None if use_global else self._trigger_name


class Local:
    """``influxdb3_local`` of one call: made for it, and closed when it returns.

    Logging and the cache work from any thread and for ever. Queries and writes that wait need the engine's
    runtime, which only the calling thread has and only while the call runs: elsewhere they panic.
    """

    def __init__(self, trigger_name: str, logs: LogRing, cache: Cache, database: Database) -> None:
        self._trigger_name = trigger_name
        self._logs = logs
        self._cache = cache
        self._database = database
        self._calling_thread: int | None = threading.get_ident()
        self._collected: list[tuple[str, str]] = []

    @property
    def cache(self) -> Cache:
        """Python objects kept from call to call."""
        return self._cache

    def info(self, *args: object) -> None:
        """Write a log row of level INFO."""
        self._log("INFO", args)

    def warn(self, *args: object) -> None:
        """Write a log row of level WARN."""
        self._log("WARN", args)

    def error(self, *args: object) -> None:
        """Write a log row of level ERROR."""
        self._log("ERROR", args)

    def query(
        self, query: str, args: Mapping[str, str] | None = None, database: str | None = None
    ) -> list[dict[str, object]]:
        """Rows of an SQL query."""
        self._need_runtime()
        return self._database.query(query, args or {}, database or self._database.name)

    def write_sync(self, line_builder: Line, no_sync: bool) -> None:
        """Write to the trigger's database; waits for the write-ahead log unless ``no_sync``."""
        self.write_sync_to_db(self._database.name, line_builder, no_sync)

    def write_sync_to_db(self, db_name: str, line_builder: Line, no_sync: bool) -> None:
        """Write to the named database; waits for the write-ahead log unless ``no_sync``."""
        line = line_builder.build()
        self._need_runtime()
        try:
            written = self._database.write(db_name, line)
        except (EmptyWriteError, LineWriteError) as error:
            raise Exception(f"error writing line protocol to {db_name}: {error}") from None
        if not no_sync:
            written.flushed.result()

    def write(self, line_builder: Line) -> None:
        """Collect a line for the trigger's database; it is written when the call returns."""
        self.write_to_db(self._database.name, line_builder)

    def write_to_db(self, db_name: str, line_builder: Line) -> None:
        """Collect a line for the named database; from another thread or later it is silently lost."""
        line = line_builder.build()
        if self._in_call():
            self._collected.append((db_name, line))

    def close(self) -> dict[str, list[str]]:
        """End the call; returns the lines that it collected, by database."""
        self._calling_thread = None
        collected: dict[str, list[str]] = {}
        for database, line in self._collected:
            collected.setdefault(database, []).append(line)
        return collected

    def _log(self, level: str, args: tuple[object, ...]) -> None:
        self._logs.record(self._trigger_name, level, " ".join(str(arg) for arg in args))

    def _in_call(self) -> bool:
        return threading.get_ident() == self._calling_thread

    def _need_runtime(self) -> None:
        if not self._in_call():
            raise PanicException("there is no reactor running, must be called from the context of a Tokio 1.x runtime")
