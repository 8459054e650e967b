"""``outbox list | show | retry | drop | stats OUTBOX``: an operator's hand on an outbox, while servers work with it."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import channels, command, output

STATES = ("waiting", "dead", "ended", "dropped")
SHOWN = ("waiting", "dead")
"""What ``list`` shows where no state is given: the others need nobody."""
MAX_SHOWN = 100
MAX_OF_A_TASK = 100_000
"""More deliveries than any request has."""
UNUSABLE = "the outbox cannot be used, or is not there"
NONE_FOUND = "no delivery of the outbox is meant"


def add(commands: command.Commands) -> None:
    """Add the commands for outboxes."""
    verbs = command.add_group(
        commands,
        "outbox",
        brief="look into an outbox, send again, drop",
        does="Commands for outboxes; they work while servers do. Each has a --help of its own.",
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
        does="""Lists the deliveries of an outbox, the oldest first: those that wait and dead letters, which have failed
        for good. Nothing is changed. No secret is shown.""",
        statuses={command.DONE: "listed, maybe none", command.FAILED: UNUSABLE},
        examples="""
influxdb3-notifier outbox list notifier-outbox.db
influxdb3-notifier outbox list --state dead --reason unknown_destination notifier-outbox.db
influxdb3-notifier outbox list --format json --limit 100000 notifier-outbox.db
""",
    )
    _add_file(parser)
    _add_choice(parser)
    parser.add_argument(
        "--limit", metavar="N", type=_count, default=MAX_SHOWN, help=f"at most N; {MAX_SHOWN} if absent"
    )
    command.add_format(parser)


def _add_show(verbs: command.Commands) -> None:
    parser = command.add(
        verbs,
        "show",
        show,
        brief="show a request with all its deliveries",
        does="""Shows what a request said, and how each of its deliveries is. The text of the notification is shown as
        it is.""",
        statuses={
            command.DONE: "shown",
            command.NO: "there is no such task, or several begin so",
            command.FAILED: UNUSABLE,
        },
        examples="""
influxdb3-notifier outbox show notifier-outbox.db 7b0c2f0e
influxdb3-notifier outbox show --format json notifier-outbox.db 7b0c2f0e-5a54-4b0c-9d0b-3f2a5e6f7a10
""",
    )
    _add_file(parser)
    parser.add_argument("task", metavar="TASK", help="the task_id, or its beginning")
    command.add_format(parser)


def _add_retry(verbs: command.Commands) -> None:
    parser = command.add(
        verbs,
        "retry",
        retry,
        brief="deliver dead letters again",
        does="""Lets dead letters be delivered again, with as much time as they had at first and under the same
        idempotency key. A server that works with the outbox takes them up within a second (on NATS 10), or at
        its next start. One that was ambiguous may then arrive twice.""",
        statuses={command.DONE: "done", command.NO: NONE_FOUND, command.FAILED: UNUSABLE},
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
        brief="end deliveries without delivering them",
        does="""Ends deliveries without delivering them: dead letters, and those that wait. An attempt that is under way
        is not called back. This cannot be undone.""",
        statuses={command.DONE: "done", command.NO: NONE_FOUND, command.FAILED: UNUSABLE},
        examples="""
influxdb3-notifier outbox drop notifier-outbox.db 7b0c2f0e/0
influxdb3-notifier outbox drop notifier-outbox.db --state dead --reason expired
influxdb3-notifier outbox drop notifier-outbox.db --all
""",
    )
    _add_file(parser)
    _add_targets(parser)
    parser.add_argument("--state", choices=SHOWN, help="only what waits, or only dead letters")
    command.add_format(parser)


def _add_stats(verbs: command.Commands) -> None:
    parser = command.add(
        verbs,
        "stats",
        stats,
        brief="count deliveries",
        does="Counts the deliveries of an outbox by their state.",
        statuses={command.DONE: "counted", command.FAILED: UNUSABLE},
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
        "file", metavar="OUTBOX", help="the outbox, as the trigger's argument outbox names it: a file, or nats://HOST"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="the configuration file that says how the NATS servers are reached"
    )


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state", choices=(*STATES, "all"), help=f"only these; {' and '.join(SHOWN)} if absent", default=None
    )
    _add_filters(parser)


def _add_targets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "delivery",
        metavar="TASK[/INDEX]",
        nargs="?",
        help="the task_id or its beginning, and the index of one delivery; without an index all of the task",
    )
    parser.add_argument("--all", action="store_true", help="all of the outbox")
    _add_filters(parser)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sender", metavar="CHANNEL", type=channels.known_name, help="only those of this sender")
    parser.add_argument("--receiver", metavar="NAME", help="only those to this receiver of the configuration file")
    parser.add_argument(
        "--reason", metavar="CODE", choices=_native.REASONS, help="only those that failed for this reason"
    )


def list_deliveries(options: argparse.Namespace) -> int:
    """Print deliveries."""
    state = options.state
    states = list(SHOWN) if state is None else [] if state == "all" else [state]
    delivery_filter = _native.DeliveryFilter(states=states, **_filters(options))
    with _opened(options) as outbox:
        rows = outbox.list(delivery_filter, options.limit)
    if options.format == "json":
        output.print_json({"file": options.file, "deliveries": rows})
        return command.DONE
    for row in rows:
        for line in told(row):
            print(line)
    more = "; there may be more (--limit)" if len(rows) == options.limit else ""
    print(f"{options.file}: {output.counted(len(rows), 'delivery', 'deliveries')}{more}")
    return command.DONE


def show(options: argparse.Namespace) -> int:
    """Print a request."""
    with _opened(options) as outbox:
        rows = outbox.list(_native.DeliveryFilter(task=(options.task, None)), MAX_OF_A_TASK)
        tasks = sorted({row["id"].partition("/")[0] for row in rows})
        request_json = outbox.request_json(tasks[0]) if len(tasks) == 1 else None
    if request_json is None:
        several = f"{options.task} begins the names of {len(tasks)} tasks: give more of it"
        output.complain(f"{options.file}: {several if tasks else f'there is no task {options.task}'}")
        return command.NO
    request = json.loads(request_json)
    if options.format == "json":
        output.print_json({"file": options.file, "task_id": tasks[0], "request": request, "deliveries": rows})
        return command.DONE
    print(f"task {tasks[0]}, accepted {_time(rows[0]['accepted'])}")
    for name, value in request.items():
        print(output.clean(f"  {name}: {json.dumps(value, ensure_ascii=False)}"))
    for row in rows:
        for line in told(row):
            print(line)
    return command.DONE


def retry(options: argparse.Namespace) -> int:
    """Put dead letters back."""
    delivery_filter = _targets(options)
    with _opened(options) as outbox:
        count = outbox.retry(delivery_filter)
    return _changed(options, count, "will be delivered again")


def drop(options: argparse.Namespace) -> int:
    """End deliveries."""
    delivery_filter = _targets(options, states=[options.state] if options.state else None)
    with _opened(options) as outbox:
        count = outbox.drop(delivery_filter)
    return _changed(options, count, "dropped")


def stats(options: argparse.Namespace) -> int:
    """Print counts."""
    with _opened(options) as outbox:
        counts = outbox.stats()
    if options.format == "json":
        output.print_json({"file": options.file, **counts})
        return command.DONE
    for state in STATES:
        print(f"{state:8} {counts[state]}")
    print(f"{'requests':8} {counts['requests']}")
    print(f"{'oldest':8} {_time(counts['oldest']) if counts['oldest'] is not None else 'none waits'}")
    print(f"{'bytes':8} {counts['bytes']}")
    return command.DONE


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[_native.Outbox]:
    """The outbox; that it cannot be used is said, and ends the command."""
    try:
        yield _native.Outbox(options.file, options.config)
    except _native.OutboxError as error:
        what, hint = error.args
        if options.format == "json":
            output.print_json({"file": options.file, "error": {"what": what, "hint": hint}})
        else:
            output.complain(f"{what} {hint}")
        raise command.CommandError(command.FAILED) from None


def _targets(options: argparse.Namespace, states: list[str] | None = None) -> _native.DeliveryFilter:
    """Which deliveries are to be changed; all of them only where that is said."""
    filters = _filters(options)
    task = None
    if options.delivery is not None:
        name, slash, index = options.delivery.partition("/")
        if slash and not index.isdecimal():
            options.parser.error(f"{options.delivery!r} is not TASK or TASK/INDEX")
        task = (name, int(index) if slash else None)
    if not (task or options.all or filters or states):
        flags = ["--sender", "--receiver", "--reason", *(["--state"] if "state" in options else [])]
        options.parser.error(f"say which: TASK, TASK/INDEX, {', '.join(flags)} or --all")
    return _native.DeliveryFilter(task=task, states=states, **filters)


def _changed(options: argparse.Namespace, count: int, done: str) -> int:
    if options.format == "json":
        output.print_json({"file": options.file, "deliveries": count})
    else:
        print(f"{options.file}: {output.counted(count, 'delivery', 'deliveries')} {done}")
    return command.DONE if count else command.NO


def told(row: dict[str, Any]) -> Iterator[str]:
    """A delivery for people."""
    return map(output.clean, _told(row))


def _told(row: dict[str, Any]) -> Iterator[str]:
    delivery = row["delivery"]
    to = delivery["destination"] or delivery["sender"]
    receiver = f" ({delivery['receiver']})" if delivery["receiver"] else ""
    yield f"{row['id']}  {row['state']:7}  accepted {_time(row['accepted'])}  {to}{receiver}"
    parts = f", {delivery['parts_delivered']} of {delivery['parts']} parts" if delivery["parts"] > 1 else ""
    tried = f"{output.counted(delivery['attempts'], 'attempt')}{parts}"
    if delivery["reason"]:
        yield f"    {delivery['outcome']}, {tried}: {delivery['reason']}: {delivery['detail']}"
    elif row["state"] == "waiting":
        owner = "a server has it" if row["owned"] else "no server has it"
        yield f"    {tried}; {owner}; until {_time(row['deadline'])}"
    else:
        yield f"    {delivery['outcome']}, {tried}"


def _filters(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in ("sender", "receiver", "reason")}
    return {name: value for name, value in given.items() if value is not None}


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
