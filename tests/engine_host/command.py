"""The ``influxdb3`` command line in front of an engine host: ``python -m tests.engine_host.command serve …``.

It has the commands that the documents show: ``serve``, ``create token``, ``install package``, ``create database``,
``create trigger``, ``write``, ``query``. All but the first two want a token, from ``--token`` or the environment.
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
from tests.engine_host.tokens import bearer
from tests.engine_host.trigger import parse_trigger_arguments

STATE = Path.home() / ".engine-host.json"
"""The state file of the running host."""

# The host's packages come last and do not include the notifier, which only pip can install.
HOST = """
import importlib.machinery, json, os, signal, sys
from pathlib import Path

own = list(sys.path)

class HideNotifier:
    def find_spec(self, name, path=None, target=None):
        if name != "influxdb3_notifier":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, own)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return spec

sys.meta_path.insert(0, HideNotifier())
sys.path += [sys.argv[1], sys.argv[2]]
from tests.engine_host.host import EngineHost

state = Path(sys.argv[3])
with EngineHost(Path(sys.argv[4]), database="mydb", create_token=False) as host:
    state.write_text(json.dumps({"url": host.url}))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
"""


@contextmanager
def served(command: list[str], environment: Mapping[str, str], home: Path) -> Iterator[str]:
    """Run a server command in a separate terminal until the block ends. Yields the host's address.

    :param home: the ``HOME`` of ``environment``.
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
    """Replace this process by a host."""
    plugins = Path(options.plugin_dir)
    plugins.mkdir(parents=True, exist_ok=True)
    environment = plugins / ".venv"
    # Without pip, which takes seconds to install: this process's pip installs into it.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    os.environ["VIRTUAL_ENV"] = str(environment.resolve())
    packages = sysconfig.get_path("purelib")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    python = str(environment / "bin" / "python")
    os.execv(python, [python, "-c", HOST, packages, str(harness.ROOT), str(STATE), str(plugins.resolve())])  # noqa: S606 - ours


def create_token(options: argparse.Namespace) -> None:
    """Print the operator token, with the output and the exit status of the server's command line.

    For a second token the server prints an error on standard output and exits with 0.
    """
    response = harness.http_request("POST", f"{server_url()}/api/v3/configure/token/admin")
    if response.status != 201:
        refused = f'ApiError {{ code: {response.status}, message: "{response.json["error"]}", error_code: None }}'
        print(f"Failed to create token, error: {refused}")
        return
    token = response.json["token"]
    print(f"\nNew token created successfully!\n\nToken: {token}\nHTTP Requests Header: Authorization: Bearer {token}\n")
    print("IMPORTANT: Store this token securely, as it will not be shown again.")


def install(options: argparse.Namespace) -> None:
    """Install the built wheel into the server's environment. Its version must be the requested one."""
    send_command("GET", "/_host/logs", options)
    wheel = harness.newest_wheel()
    name, _, version = options.package.partition("==")
    if not wheel.name.startswith(f"{name.replace('-', '_')}-{version}-"):
        sys.exit(f"{wheel.name} is not {options.package}")
    pip_install(plugin_directory() / ".venv", wheel)


def pip_install(environment: Path, wheel: Path) -> None:
    """Install a wheel into a virtual environment, replacing an installed version."""
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
    send_command("POST", "/_host/triggers", options, json.dumps(trigger).encode())


def write(options: argparse.Namespace) -> None:
    """Write lines, and wait until a query returns them."""
    lines = Path(options.file).read_text() if options.file else options.line_protocol
    send_command("POST", f"/api/v3/write_lp?db={options.database}", options, lines.encode())
    print("success")


def query(options: argparse.Namespace) -> None:
    """Print the result of a query."""
    from tests.engine_host.sql import session

    lines = send_command("GET", f"/_host/lines?db={options.database}", options).json
    print(str(session(lines).sql(options.sql)).partition("\n")[2])


def create_database(options: argparse.Namespace) -> None:
    """Check the token. The host does not need databases to be created."""
    send_command("GET", "/_host/logs", options)


def server_url() -> str:
    """The address of the running host."""
    url: str = json.loads(STATE.read_text())["url"]
    return url


def send_command(method: str, path: str, options: argparse.Namespace, body: bytes = b"") -> harness.Response:
    """Send a command to the host, and return the response. An error response ends the program."""
    response = harness.http_request(method, server_url() + path, body=body, headers=bearer(options.token))
    if response.status >= 400:
        sys.exit(f"{options.verb} command failed: the server answered {response.status}: {response.text}")
    return response


def plugin_directory() -> Path:
    """The plugin directory of the documentation."""
    return Path.home() / ".plugins"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="influxdb3")
    verbs = parser.add_subparsers(required=True, dest="verb")
    server = verbs.add_parser("serve")
    for flag in ("--node-id", "--object-store", "--data-dir", "--plugin-dir"):
        server.add_argument(flag, required=True)
    server.set_defaults(run=serve)
    package = verbs.add_parser("install").add_subparsers(required=True).add_parser("package")
    package.add_argument("--host", help="ignored: there is only one host")
    package.add_argument("package")
    package.set_defaults(run=install)
    things = verbs.add_parser("create").add_subparsers(required=True)
    token = things.add_parser("token")
    token.add_argument("--admin", action="store_true", required=True)
    token.set_defaults(run=create_token)
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
    for command in (package, database, trigger, lines, sql):
        command.add_argument("--token", default=os.environ.get("INFLUXDB3_AUTH_TOKEN"))
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
