"""``outbox list | show | retry | drop | stats OUTBOX``: inspect and change an outbox while servers use it."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import channels, command, output

STATES = ("waiting", "dead", "ended", "dropped")
DEFAULT_STATES = ("waiting", "dead")
"""The states that ``list`` shows by default: the deliveries that an operator may want to change."""
DEFAULT_LIMIT = 100
MAX_DELIVERIES_PER_TASK = 100_000
"""More deliveries than any request has."""
UNUSABLE = "the outbox does not exist or cannot be used"
NONE_FOUND = "no delivery matches"


def add(commands: command.Commands) -> None:
    """Add the commands for outboxes."""
    verbs = command.add_group(
        commands,
        "outbox",
        brief="list, retry and drop the deliveries of an outbox",
        description="Commands for outboxes. You can use them while servers use the outbox. See COMMAND --help.",
        examples="""
influxdb3-notifier outbox list notifier-outbox.db
influxdb3-notifier outbox retry notifier-outbox.db --receiver oncall
""",
    )
    for add_verb in (_add_list, _add_show, _add_retry, _add_drop, _add_stats):
        add_verb(verbs)


def _add_list(verbs: command.Commands) -> None:
    parser = command.add(
        verbs,
        "list",
        list_deliveries,
        brief="list deliveries, the oldest first",
        description="""Lists the deliveries of an outbox, the oldest first. By default it lists waiting deliveries and
        dead letters, which failed permanently. Changes nothing, and shows no secret.""",
        statuses={command.DONE: "the list is printed, even if it is empty", command.FAILED: UNUSABLE},
        examples="""
influxdb3-notifier outbox list notifier-outbox.db
influxdb3-notifier outbox list --state dead --reason unknown_destination notifier-outbox.db
influxdb3-notifier outbox list --format json --limit 100000 notifier-outbox.db
""",
    )
    _add_file(parser)
    _add_state_and_filters(parser)
    parser.add_argument(
        "--limit", metavar="N", type=_count, default=DEFAULT_LIMIT, help=f"list at most N; default: {DEFAULT_LIMIT}"
    )
    command.add_format(parser)


def _add_show(verbs: command.Commands) -> None:
    parser = command.add(
        verbs,
        "show",
        show,
        brief="show a request with all its deliveries",
        description="""Shows a request and the state of each of its deliveries. Includes the notification's text.""",
        statuses={
            command.DONE: "the request is printed",
            command.NO: "no task, or more than one, begins with TASK",
            command.FAILED: UNUSABLE,
        },
        examples="""
influxdb3-notifier outbox show notifier-outbox.db 7b0c2f0e
influxdb3-notifier outbox show --format json notifier-outbox.db 7b0c2f0e-5a54-4b0c-9d0b-3f2a5e6f7a10
""",
    )
    _add_file(parser)
    parser.add_argument("task", metavar="TASK", help="the task_id, or a prefix of it")
    command.add_format(parser)


def _add_retry(verbs: command.Commands) -> None:
    parser = command.add(
        verbs,
        "retry",
        retry,
        brief="deliver dead letters again",
        description="""Delivers dead letters again, with a new deadline of the same length and the same idempotency key.
        A running server or worker claims them within 1 s (with NATS 10 s), otherwise the next one that starts. An
        ambiguous delivery may then arrive twice.""",
        statuses={
            command.DONE: "the deliveries are queued again",
            command.NO: NONE_FOUND,
            command.FAILED: UNUSABLE,
        },
        examples="""
influxdb3-notifier outbox retry notifier-outbox.db 7b0c2f0e/0
influxdb3-notifier outbox retry notifier-outbox.db --receiver oncall
influxdb3-notifier outbox retry notifier-outbox.db --all
""",
    )
    _add_file(parser)
    _add_targets(parser)
    command.add_format(parser)


def _add_drop(verbs: command.Commands) -> None:
    parser = command.add(
        verbs,
        "drop",
        drop,
        brief="drop deliveries",
        description="""Drops dead letters and waiting deliveries: they are not delivered. Does not stop an attempt in
        flight. You cannot undo this.""",
        statuses={
            command.DONE: "the deliveries are dropped",
            command.NO: NONE_FOUND,
            command.FAILED: UNUSABLE,
        },
        examples="""
influxdb3-notifier outbox drop notifier-outbox.db 7b0c2f0e/0
influxdb3-notifier outbox drop notifier-outbox.db --state dead --reason expired
influxdb3-notifier outbox drop notifier-outbox.db --all
""",
    )
    _add_file(parser)
    _add_targets(parser)
    parser.add_argument("--state", choices=DEFAULT_STATES, help="only deliveries in this state")
    command.add_format(parser)


def _add_stats(verbs: command.Commands) -> None:
    parser = command.add(
        verbs,
        "stats",
        stats,
        brief="count deliveries",
        description="Counts the deliveries of an outbox by state.",
        statuses={command.DONE: "the counts are printed", command.FAILED: UNUSABLE},
        examples="""
influxdb3-notifier outbox stats notifier-outbox.db
influxdb3-notifier outbox stats --format json notifier-outbox.db
influxdb3-notifier outbox stats nats://nats1:4222 --config notifier.toml
""",
    )
    _add_file(parser)
    command.add_format(parser)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="OUTBOX", help="the value of the trigger argument outbox: a file, or nats://HOST"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="the configuration file with the settings of the NATS connection"
    )


def _add_state_and_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state",
        choices=(*STATES, "all"),
        help=f"only deliveries in this state; default: {' and '.join(DEFAULT_STATES)}",
        default=None,
    )
    _add_filters(parser)


def _add_targets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "delivery",
        metavar="TASK[/INDEX]",
        nargs="?",
        help="the task_id or a prefix of it, and the index of a delivery; without an index, all deliveries of the task",
    )
    parser.add_argument("--all", action="store_true", help="all deliveries of the outbox")
    _add_filters(parser)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sender", metavar="CHANNEL", type=channels.channel_name, help="only deliveries of this channel"
    )
    parser.add_argument("--receiver", metavar="NAME", help="only deliveries to this receiver")
    parser.add_argument(
        "--reason", metavar="CODE", choices=_native.REASONS, help="only deliveries that failed with this reason code"
    )


def list_deliveries(options: argparse.Namespace) -> int:
    """Print deliveries."""
    state = options.state
    states = list(DEFAULT_STATES) if state is None else [] if state == "all" else [state]
    delivery_filter = _native.DeliveryFilter(states=states, **_filters(options))
    with _open_outbox(options) as outbox:
        rows = outbox.list(delivery_filter, options.limit)
    if options.format == "json":
        output.print_json({"file": options.file, "deliveries": rows})
        return command.DONE
    for row in rows:
        for line in format_delivery(row):
            print(line)
    more = "; there may be more: use --limit" if len(rows) == options.limit else ""
    print(f"{options.file}: {output.counted(len(rows), 'delivery', 'deliveries')}{more}")
    return command.DONE


def show(options: argparse.Namespace) -> int:
    """Print a request."""
    with _open_outbox(options) as outbox:
        task_filter = _native.DeliveryFilter(task=(options.task, None))
        rows = outbox.list(task_filter, MAX_DELIVERIES_PER_TASK)
        tasks = sorted({row["id"].partition("/")[0] for row in rows})
        request_json = outbox.request_json(tasks[0]) if len(tasks) == 1 else None
    if request_json is None:
        several = f"{len(tasks)} tasks begin with {options.task}; give a longer prefix"
        output.print_error(f"{options.file}: {several if tasks else f'no task begins with {options.task}'}")
        return command.NO
    request = json.loads(request_json)
    if options.format == "json":
        output.print_json({"file": options.file, "task_id": tasks[0], "request": request, "deliveries": rows})
        return command.DONE
    print(f"task {tasks[0]}, accepted {_time(rows[0]['accepted'])}")
    for name, value in request.items():
        print(output.escape_control(f"  {name}: {json.dumps(value, ensure_ascii=False)}"))
    for row in rows:
        for line in format_delivery(row):
            print(line)
    return command.DONE


def retry(options: argparse.Namespace) -> int:
    """Queue dead letters again."""
    delivery_filter = _targets(options)
    with _open_outbox(options) as outbox:
        count = outbox.retry(delivery_filter)
    return _print_count(options, count, "queued again")


def drop(options: argparse.Namespace) -> int:
    """Drop deliveries."""
    delivery_filter = _targets(options, states=[options.state] if options.state else None)
    with _open_outbox(options) as outbox:
        count = outbox.drop(delivery_filter)
    return _print_count(options, count, "dropped")


def stats(options: argparse.Namespace) -> int:
    """Print counts."""
    with _open_outbox(options) as outbox:
        counts = outbox.stats()
    if options.format == "json":
        output.print_json({"file": options.file, **counts})
        return command.DONE
    for state in STATES:
        print(f"{state:8} {counts[state]}")
    print(f"{'requests':8} {counts['requests']}")
    print(f"{'oldest':8} {_time(counts['oldest']) if counts['oldest'] is not None else 'no delivery waits'}")
    print(f"{'bytes':8} {counts['bytes']}")
    return command.DONE


@contextmanager
def _open_outbox(options: argparse.Namespace) -> Iterator[_native.Outbox]:
    """Open the outbox. An ``OutboxError`` in the block prints the error and ends the command."""
    try:
        yield _native.Outbox(options.file, options.config)
    except _native.OutboxError as error:
        message, hint = error.args
        if options.format == "json":
            output.print_json({"file": options.file, "error": {"message": message, "hint": hint}})
        else:
            output.print_error(f"{message} {hint}")
        raise command.CommandError(command.FAILED) from None


def _targets(options: argparse.Namespace, states: list[str] | None = None) -> _native.DeliveryFilter:
    """The deliveries to change. The whole outbox needs ``--all``."""
    filters = _filters(options)
    task = None
    if options.delivery is not None:
        name, slash, index = options.delivery.partition("/")
        if slash and not index.isdecimal():
            options.parser.error(f"{options.delivery!r} is neither TASK nor TASK/INDEX")
        task = (name, int(index) if slash else None)
    if not (task or options.all or filters or states):
        flags = ["--sender", "--receiver", "--reason", *(["--state"] if "state" in options else [])]
        options.parser.error(f"name the deliveries: TASK, TASK/INDEX, {', '.join(flags)} or --all")
    return _native.DeliveryFilter(task=task, states=states, **filters)


def _print_count(options: argparse.Namespace, count: int, result: str) -> int:
    if options.format == "json":
        output.print_json({"file": options.file, "deliveries": count})
    else:
        print(f"{options.file}: {output.counted(count, 'delivery', 'deliveries')} {result}")
    return command.DONE if count else command.NO


def format_delivery(row: dict[str, Any]) -> Iterator[str]:
    """A delivery as lines of text."""
    return map(output.escape_control, _delivery_lines(row))


def _delivery_lines(row: dict[str, Any]) -> Iterator[str]:
    delivery = row["delivery"]
    destination = delivery["destination"] or delivery["sender"]
    receiver = f" ({delivery['receiver']})" if delivery["receiver"] else ""
    yield f"{row['id']}  {row['state']:7}  accepted {_time(row['accepted'])}  {destination}{receiver}"
    parts = f", {delivery['parts_delivered']} of {delivery['parts']} parts" if delivery["parts"] > 1 else ""
    attempts = f"{output.counted(delivery['attempts'], 'attempt')}{parts}"
    if delivery["reason"]:
        yield f"    {delivery['outcome']}, {attempts}: {delivery['reason']}: {delivery['detail']}"
    elif row["state"] == "waiting":
        owner = "claimed by a server" if row["owned"] else "not claimed"
        yield f"    {attempts}; {owner}; deadline {_time(row['deadline'])}"
    else:
        yield f"    {delivery['outcome']}, {attempts}"


def _filters(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in ("sender", "receiver", "reason")}
    return {name: value for name, value in given.items() if value is not None}


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
