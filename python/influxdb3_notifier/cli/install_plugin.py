"""``install-plugin DIR``: write this package's plugin file into the server's plugin directory."""

import argparse
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from influxdb3_notifier._native import __version__, plugin_source
from influxdb3_notifier.cli import command, output
from influxdb3_notifier.cli.command import DONE, FAILED, NO

PLUGIN_FILE = "notifier_plugin.py"
DESCRIPTION = f"""
Writes this package's {PLUGIN_FILE} into the server's plugin directory DIR. Does not overwrite a file that differs,
unless you give --force. The server uses the new file from the next call on.
"""
STATUSES = {
    DONE: "the directory has this package's file",
    NO: "the directory has a different file with that name, which was not changed",
    FAILED: "DIR is not a directory, or the file cannot be read or written",
}
MESSAGES = {
    "written": f"written, from influxdb3-notifier {__version__}",
    "overwritten": f"overwritten, from influxdb3-notifier {__version__}",
    "unchanged": f"already the file of influxdb3-notifier {__version__}",
    "differs": f"not overwritten: it differs from the file of influxdb3-notifier {__version__}; "
    "save a copy if you need it, then give --force",
}
"""The message for each result of ``install_plugin``."""
EXAMPLES = """
influxdb3-notifier install-plugin ~/.plugins
influxdb3-notifier install-plugin --force --format json /var/lib/influxdb3/plugins
"""


def add(commands: command.Commands) -> None:
    """Add the command."""
    parser = command.add(
        commands,
        "install-plugin",
        run,
        brief="write the plugin file into the server's plugin directory",
        description=DESCRIPTION,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    parser.add_argument("directory", metavar="DIR", help="the server's --plugin-dir")
    parser.add_argument("--force", action="store_true", help="overwrite a file that differs")
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Write the file, and print the result."""
    directory = Path(options.directory)
    target = directory / PLUGIN_FILE
    if not directory.is_dir():
        output.print_error(f"{directory}: not a directory; give the server's --plugin-dir")
        return FAILED
    try:
        state = install_plugin(target, force=options.force)
    except OSError as error:
        # error.filename may be the temporary file.
        output.print_error(f"{target}: {error.strerror or error}")
        return FAILED
    if options.format == "json":
        output.print_json({"file": str(target), "state": state, "version": __version__})
    elif state == "differs":
        output.print_error(f"{target}: {MESSAGES[state]}")
    else:
        print(f"{target}: {MESSAGES[state]}")
    return NO if state == "differs" else DONE


def install_plugin(target: Path, *, force: bool = False) -> str:
    """Write the plugin file.

    :param force: overwrite a file that differs.
    :returns: the result, a key of ``MESSAGES``.
    :raises OSError: the file cannot be read or written.
    """
    source = plugin_source().encode()
    existing = target.read_bytes() if target.exists() else None
    if existing == source:
        return "unchanged"
    if existing is not None and not force:
        return "differs"
    _replace(target, source)
    return "written" if existing is None else "overwritten"


def _replace(target: Path, content: bytes) -> None:
    """Replace the file atomically, because the server may read it at any time."""
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o644
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
