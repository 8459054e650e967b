"""What a trigger is, as ``influxdb3 create trigger`` is told."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trigger:
    """A request trigger."""

    name: str
    plugin: Path
    route: str
    """What follows ``/api/v3/engine/``; may have several segments."""
    arguments: dict[str, str] | None
    run_asynchronous: bool


def parse_request_spec(spec: str) -> str:
    """The route of ``request:ROUTE``; the host runs no other kind of trigger."""
    kind, colon, route = spec.partition(":")
    if kind != "request" or not colon or not route:
        raise ValueError(f"trigger specification {spec!r} is not request:PATH")
    return route


def parse_trigger_arguments(*texts: str) -> dict[str, str]:
    """Read ``--trigger-arguments`` as the command line does, once for each time the flag is given.

    Cut at every comma, then at the first ``=``; nothing can be quoted; the last of equal keys wins.
    """
    arguments: dict[str, str] = {}
    for text in texts:
        for pair in text.split(","):
            key, equals, value = pair.partition("=")
            if not equals:
                raise ValueError(f"trigger argument {pair!r} is not key=value")
            arguments[key] = value
    return arguments
