"""A table with a write trigger on an engine host, and the stand-in behind its receivers."""

from typing import Any

from tests import harness
from tests.engine_host.host import EngineHost
from tests.harness import Standin

FILE = """\
[settings]
initial_backoff = "10ms"
max_backoff = "10ms"
{settings}

[receivers.oncall]
http = {{ webhook_url = "{url}/hook/oncall" }}

[receivers.team]
http = {{ webhook_url = "{url}/hook/team" }}

{more}
"""


class Table:
    """The table ``alerts``, the trigger on it and its configuration file."""

    def __init__(self, engine: EngineHost, standin: Standin) -> None:
        self.engine = engine
        self.standin = standin
        # A distinct name, because the process caches a file longer than an engine host lives.
        self.file = f"{engine.port}.toml"
        self.path = engine.plugin_dir / self.file

    def configure(self, settings: str = "", more: str = "") -> None:
        """Write the configuration file; by default with one route, to ``oncall``."""
        more = more or '[[routes]]\nreceivers = ["oncall"]\n'
        text = FILE.format(url=self.standin.url, settings=settings, more=more)
        self.path.write_text(text)

    def trigger(self, spec: str = "table:alerts", name: str = "w", **arguments: str) -> None:
        """Create the write trigger."""
        self.engine.create_trigger(name, spec=spec, arguments={"config_file_path": self.file, **arguments})

    def synchronous_trigger(self, **arguments: str) -> None:
        """Create the write trigger so that the engine calls it in the order of the writes."""
        arguments = {"config_file_path": self.file, **arguments}
        self.engine.create_trigger("w", spec="table:alerts", arguments=arguments, run_asynchronous=False)

    def write(self, *lines: str) -> None:
        """Write rows, and flush them, so that the trigger is called."""
        response = harness.http_request(
            "POST",
            f"{self.engine.url}/api/v3/write_lp?db=notifications&no_sync=true&precision=nanosecond",
            body="\n".join(lines).encode(),
            headers=harness.authenticated(self.engine),
        )
        assert response.status == 204, response.text
        self.engine.flush()

    def lines(self, trigger: str = "w") -> list[tuple[str, str]]:
        """(level, text) of the notifier's log lines, without the task's id."""
        rows = self.engine.logs(trigger)
        return [
            (row["log_level"], row["log_text"].split("] ", 1)[1])
            for row in rows
            if row["log_text"].startswith("notifier [")
        ]

    def wait_for_line(self, part: str, trigger: str = "w") -> tuple[str, str]:
        """Wait for a log line that contains ``part``, and return it."""
        harness.eventually(lambda: any(part in text for _, text in self.lines(trigger)), part)
        return next(line for line in self.lines(trigger) if part in line[1])

    def bodies(self, path: str = "/hook/oncall") -> list[dict[str, Any]]:
        """The JSON bodies of the requests at a path."""
        return self.standin.bodies(path)

    def sent(self, count: int, path: str = "/hook/oncall") -> list[dict[str, Any]]:
        """Wait for exactly ``count`` bodies, and return them."""
        harness.eventually(lambda: len(self.bodies(path)) >= count, f"{count} requests at {path}")
        found = self.bodies(path)
        assert len(found) == count
        return found

    def history(self) -> list[str]:
        """The lines of line protocol that the plugin has written to ``notifications``."""
        return [line for _, line in self.engine.database.lines if line.startswith("notifications,")]
