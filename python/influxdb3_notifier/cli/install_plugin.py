"""``install-plugin DIR``: write the plugin file that belongs to this package into the server's plugin directory."""

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
DOES = f"""
Writes {PLUGIN_FILE}, which belongs to this package, into the server's plugin directory DIR. A file of that name
that is the same is left alone; one that differs is kept, unless --force is given. The server uses the new file
from the next request on.
"""
STATUSES = {
    DONE: "the file is there, written now or before",
    NO: "another file of that name is there; nothing was changed",
    FAILED: "DIR is no directory, or cannot be written",
}
SAID = {
    "written": f"written, that of influxdb3-notifier {__version__}",
    "overwritten": f"overwritten, that of influxdb3-notifier {__version__}",
    "unchanged": f"is that of influxdb3-notifier {__version__} already",
    "differs": f"differs from that of influxdb3-notifier {__version__}, so it was not overwritten; "
    "keep a copy and give --force",
}
"""What is said of each state of the file."""
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
        does=DOES,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    parser.add_argument("directory", metavar="DIR", help="the server's --plugin-dir")
    parser.add_argument("--force", action="store_true", help="overwrite a file that differs")
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Write the file, and say what was done."""
    directory = Path(options.directory)
    target = directory / PLUGIN_FILE
    if not directory.is_dir():
        output.complain(f"{directory}: is no directory; give the one that the server has as --plugin-dir")
        return FAILED
    try:
        state = install_plugin(target, force=options.force)
    except OSError as error:
        # Not the error's own file name, which may be that of the temporary file.
        output.complain(f"{target}: {error.strerror or error}")
        return FAILED
    if options.format == "json":
        output.print_json({"file": str(target), "state": state, "version": __version__})
    elif state == "differs":
        output.complain(f"{target}: {SAID[state]}")
    else:
        print(f"{target}: {SAID[state]}")
    return NO if state == "differs" else DONE


def install_plugin(target: Path, *, force: bool = False) -> str:
    """Write the plugin file.

    :param force: also over a file that differs.
    :returns: what became of it, a key of ``SAID``.
    :raises OSError: the file cannot be read or written.
    """
    source = plugin_source().encode()
    found = target.read_bytes() if target.exists() else None
    if found == source:
        return "unchanged"
    if found is not None and not force:
        return "differs"
    _replace(target, source)
    return "written" if found is None else "overwritten"


def _replace(target: Path, content: bytes) -> None:
    """Put ``content`` in the file's place at once: the server may read it at any moment."""
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
