"""Workers of enabled triggers, which make their calls one by one or in parallel.

All of this runs on the host's loop; the calls themselves run on threads.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

from tests.engine_host.calls import CallRunner
from tests.engine_host.database import Batch
from tests.engine_host.plugin import PluginError, PluginRequest, call_request, call_scheduled, call_writes
from tests.engine_host.response import EngineResponse
from tests.engine_host.trigger import OnSchedule, OnWrite, TriggerDefinition

CHANNEL_PLACES = 60
"""The capacity of a trigger's channel. When it is full, senders wait, and with them the whole engine."""

T = TypeVar("T")
Disable = Callable[[TriggerDefinition], None]
"""Disables a trigger after a failed call, for ``error_behavior``."""


class HandlerDownError(Exception):
    """The trigger was disabled or deleted during its call."""


class WorkerDiedError(Exception):
    """The engine's task for a trigger ended with a panic, which the engine does not report."""


class ChannelWorker(ABC, Generic[T]):
    """An enabled trigger with a channel, and the task that receives from it."""

    def __init__(self, trigger: TriggerDefinition, calls: CallRunner) -> None:
        self.trigger = trigger
        self.channel: asyncio.Queue[T | None] = asyncio.Queue(CHANNEL_PLACES)
        self._calls = calls
        self.task = asyncio.create_task(self._run())

    async def send(self, item: T | None) -> None:
        """Put ``item`` into the channel when it has capacity."""
        if not self.task.done():
            await self.channel.put(item)

    async def close(self) -> None:
        """Stop the worker by a message in the channel: a synchronous trigger first processes earlier messages."""
        await self.send(None)

    async def _run(self) -> None:
        running: set[asyncio.Task[None]] = set()
        while (item := await self.channel.get()) is not None:
            if self.trigger.run_asynchronous:
                task = asyncio.create_task(self._handle(item))
                running.add(task)
                task.add_done_callback(running.discard)
                continue
            try:
                await self._handle(item)
            except WorkerDiedError:
                return
        # Running calls continue on their threads, but the worker does not wait for them.
        for task in list(running):
            task.cancel()

    @abstractmethod
    async def _handle(self, item: T) -> None:
        """Process ``item``."""


class RequestWorker(ChannelWorker[tuple[PluginRequest, "asyncio.Future[EngineResponse]"]]):
    """A request trigger. Each request has a future for its response."""

    async def _handle(self, item: "tuple[PluginRequest, asyncio.Future[EngineResponse]]") -> None:
        request, reply = item
        try:
            response = await self._answer(request)
            if not reply.done():
                reply.set_result(response)
        except asyncio.CancelledError:
            if not reply.done():
                reply.set_exception(HandlerDownError())

    async def _answer(self, request: PluginRequest) -> EngineResponse:
        """Call the plugin. Any exception, even a ``BaseException``, becomes a 500, and the trigger continues."""
        trigger, logs = self.trigger, self._calls.logs
        try:
            return await self._calls.run(
                trigger, "request plugin", lambda local: call_request(trigger, local, logs, request)
            )
        except PluginError as error:
            logs.record(trigger.name, "ERROR", f"error running request plugin: {error}")
            return EngineResponse(500, json.dumps({"error": str(error)}))


class WriteWorker(ChannelWorker[dict[str, Batch]]):
    """A write trigger. Its messages are the batches of a flush, of all databases."""

    def __init__(self, trigger: TriggerDefinition, occasion: OnWrite, calls: CallRunner, disable: Disable) -> None:
        self._table = occasion.table
        self._disable = disable
        self._is_disabled = False
        super().__init__(trigger, calls)

    async def _handle(self, item: dict[str, Batch]) -> None:
        batch = item.get(self._calls.database.name)
        if batch is None or self._is_disabled:
            return
        if self._table is not None:
            if not self._calls.database.has_table(self._table):
                # The engine's task panics. An asynchronous trigger has a separate task for each flush.
                raise WorkerDiedError
            batch = {table: rows for table, rows in batch.items() if table == self._table}
        await self._process(batch)

    async def _process(self, batch: Batch) -> None:
        """Call the plugin. With ``retry``, repeat until it does not raise, and read a changed file again."""
        trigger, logs = self.trigger, self._calls.logs
        source = trigger.plugin.read()
        while True:
            try:
                await self._calls.run(
                    trigger, "wal plugin", lambda local: call_writes(trigger, local, logs, source, batch)
                )
            except PluginError as error:
                if self._is_disabled:
                    return
                if trigger.error_behavior == "log":
                    logs.record(trigger.name, "ERROR", f"error executing wal plugin: {error}")
                    return
                if trigger.error_behavior == "disable":
                    self._is_disabled = True
                    self._disable(trigger)
                    return
            else:
                return


class ScheduleWorker:
    """A scheduled trigger.

    A synchronous one whose call takes longer than the interval misses nothing: what has become due meanwhile runs
    at once, one after the other, each with the time that it was due at. An asynchronous one runs on time beside it.
    """

    def __init__(self, trigger: TriggerDefinition, occasion: OnSchedule, calls: CallRunner, disable: Disable) -> None:
        self.trigger = trigger
        self._schedule = occasion.schedule
        self._calls = calls
        self._disable = disable
        self._is_disabled = False
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self.task = asyncio.create_task(self._run())

    async def run(self, moment: datetime) -> None:
        """Make the call of ``moment``. A synchronous trigger first waits for the previous call."""
        if self.trigger.run_asynchronous:
            await self._process(moment, "async scheduled plugin")
        else:
            async with self._turn:
                await self._process(moment, "scheduled plugin")

    async def close(self) -> None:
        """Make no more calls. Running calls continue on their threads."""
        self._is_disabled = True
        for task in [self.task, *self._running]:
            task.cancel()

    async def _run(self) -> None:
        moment = self._schedule.first(datetime.now(UTC))
        while moment is not None and not self._is_disabled:
            while (wait := (moment - datetime.now(UTC)).total_seconds()) > 0:
                await asyncio.sleep(wait)
            if self.trigger.run_asynchronous:
                task = asyncio.create_task(self.run(moment))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            else:
                await self.run(moment)
            moment = self._schedule.following(moment)

    async def _process(self, moment: datetime, kind: str) -> None:
        """Call the plugin. With ``retry``, repeat until it does not raise or the trigger is disabled."""
        trigger, logs = self.trigger, self._calls.logs
        while not self._is_disabled:
            try:
                await self._calls.run(
                    trigger, "schedule plugin", lambda local: call_scheduled(trigger, local, logs, moment)
                )
            except PluginError as error:
                if trigger.error_behavior == "log":
                    logs.record(trigger.name, "ERROR", f"error executing schedule plugin: {error}")
                    logs.record(trigger.name, "ERROR", f"error running {kind}: {error}")
                    return
                if trigger.error_behavior == "disable":
                    self._is_disabled = True
                    self._disable(trigger)
                    return
            else:
                return
