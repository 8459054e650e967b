"""The ``influxdb3`` command line in front of an engine host: ``python -m tests.engine_host.command serve …``.

It has the commands that the documents show: ``serve``, ``install package``, ``create database``, ``create trigger``,
``write``, ``query``.
As the server does, it makes a virtual environment in the plugin directory, and the plugin imports from there alone.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests import harness
from tests.engine_host import parse_trigger_arguments

STATE = Path.home() / ".engine-host.json"
"""Where a running host is written down."""

# The host's own packages come last, and the notifier is none of them: it is where pip has put it, or nowhere.
HOST = """
import importlib.machinery, json, os, signal, sys
from pathlib import Path

own = list(sys.path)

class OnlyFromThePluginDirectory:
    def find_spec(self, name, path=None, target=None):
        if name != "influxdb3_notifier":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, own)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return spec

sys.meta_path.insert(0, OnlyFromThePluginDirectory())
sys.path += [sys.argv[1], sys.argv[2]]
from tests.engine_host import EngineHost

state = Path(sys.argv[3])
with EngineHost(Path(sys.argv[4]), database="mydb") as host:
    state.write_text(json.dumps({"url": host.url}))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
"""


@contextmanager
def served(command: list[str], environment: Mapping[str, str], home: Path) -> Iterator[str]:
    """Run a command that serves, in a terminal of its own, until the end; gives the host's address.

    :param home: what ``HOME`` is in ``environment``.
    """
    state = home / STATE.name
    state.unlink(missing_ok=True)
    with subprocess.Popen(command, env=environment, cwd=home, start_new_session=True) as process:
        try:
            harness.eventually(
                lambda: process.poll() is not None or (state.exists() and state.read_text()), "up", timeout=50
            )
            yield json.loads(state.read_text())["url"]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)


def serve(options: argparse.Namespace) -> None:
    """Start a host, and become it."""
    plugins = Path(options.plugin_dir)
    plugins.mkdir(parents=True, exist_ok=True)
    environment = plugins / ".venv"
    # Without pip of its own, which takes seconds: ours installs into it.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    os.environ["VIRTUAL_ENV"] = str(environment.resolve())
    packages = sysconfig.get_path("purelib")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    python = str(environment / "bin" / "python")
    os.execv(python, [python, "-c", HOST, packages, str(harness.ROOT), str(STATE), str(plugins.resolve())])  # noqa: S606 - ours


def install(options: argparse.Namespace) -> None:
    """Install the wheel that was built, whose version must be the one that is asked for, where the server does."""
    wheel = harness.newest_wheel()
    name, _, version = options.package.partition("==")
    if not wheel.name.startswith(f"{name.replace('-', '_')}-{version}-"):
        sys.exit(f"{wheel.name} is not {options.package}")
    pip_install(plugin_directory() / ".venv", wheel)


def pip_install(environment: Path, wheel: Path) -> None:
    """Install a wheel into a virtual environment, over one that is there."""
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install"]
    subprocess.run([*pip, "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)


def create_trigger(options: argparse.Namespace) -> None:
    """Create a trigger on the host."""
    trigger = {
        "name": options.name,
        "path": options.path,
        "spec": options.trigger_spec,
        "arguments": parse_trigger_arguments(*options.trigger_arguments),
        "run_asynchronous": options.run_asynchronous,
    }
    url = json.loads(STATE.read_text())["url"]
    answer = harness.http_request("POST", f"{url}/_host/triggers", body=json.dumps(trigger).encode())
    if answer.status != 200:
        sys.exit(answer.text)


def write(options: argparse.Namespace) -> None:
    """Write lines, and wait until they can be queried."""
    lines = Path(options.file).read_text() if options.file else options.line_protocol
    url = json.loads(STATE.read_text())["url"]
    answer = harness.http_request("POST", f"{url}/api/v3/write_lp?db={options.database}", body=lines.encode())
    if answer.status != 204:
        sys.exit(answer.text)
    print("success")


def query(options: argparse.Namespace) -> None:
    """Answer from what was written."""
    from tests.engine_host.sql import session

    url = json.loads(STATE.read_text())["url"]
    lines = harness.http_request("GET", f"{url}/_host/lines?db={options.database}").json
    print(str(session(lines).sql(options.sql)).partition("\n")[2])


def create_database(options: argparse.Namespace) -> None:
    """A host needs none."""


def plugin_directory() -> Path:
    """What the documents use."""
    return Path.home() / ".plugins"


def main() -> None:
    """Read the command line, do it."""
    parser = argparse.ArgumentParser(prog="influxdb3")
    verbs = parser.add_subparsers(required=True)
    server = verbs.add_parser("serve")
    for flag in ("--node-id", "--object-store", "--data-dir", "--plugin-dir"):
        server.add_argument(flag, required=True)
    server.set_defaults(run=serve)
    package = verbs.add_parser("install").add_subparsers(required=True).add_parser("package")
    package.add_argument("--host", help="not used: there is one")
    package.add_argument("package")
    package.set_defaults(run=install)
    things = verbs.add_parser("create").add_subparsers(required=True)
    database = things.add_parser("database")
    database.add_argument("name")
    database.set_defaults(run=create_database)
    trigger = things.add_parser("trigger")
    for flag in ("--database", "--path", "--trigger-spec"):
        trigger.add_argument(flag, required=True)
    trigger.add_argument("--run-asynchronous", action="store_true")
    trigger.add_argument("--trigger-arguments", action="append", default=[])
    trigger.add_argument("name")
    trigger.set_defaults(run=create_trigger)
    lines = verbs.add_parser("write")
    lines.add_argument("--database", required=True)
    lines.add_argument("--file")
    lines.add_argument("line_protocol", nargs="?")
    lines.set_defaults(run=write)
    sql = verbs.add_parser("query")
    sql.add_argument("--database", required=True)
    sql.add_argument("sql")
    sql.set_defaults(run=query)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
