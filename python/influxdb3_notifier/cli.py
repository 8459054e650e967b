"""The command ``influxdb3-notifier``. Nothing in here is imported by the plugin."""

import argparse
import os
import stat
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from influxdb3_notifier import channels
from influxdb3_notifier._native import __version__, plugin_source

PLUGIN_FILE = "notifier_plugin.py"
DONE = 0
REFUSED = 1
FAILED = 3
"""2 is argparse's, for a command line that cannot be read."""

INSTALL_PLUGIN = f"""\
Writes {PLUGIN_FILE}, which belongs to this package, into the server's plugin directory DIR.
A file of that name that is the same is left alone; one that differs is kept, unless --force is given.
The server uses the new file from the next request on.

exit status:
  {DONE}  the file is there, written now or before
  {REFUSED}  another file of that name is there; nothing was changed
  2  the command line cannot be read
  {FAILED}  DIR is no directory, or cannot be written

examples:
  influxdb3-notifier install-plugin ~/.plugins
  influxdb3-notifier install-plugin --force /var/lib/influxdb3/plugins
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    :param arguments: without the program's name; None: those of the process.
    :returns: the exit status.
    """
    options = _parser().parse_args(arguments)
    if hasattr(options, "run"):
        return int(options.run(options))
    directory = Path(options.directory)
    try:
        return install_plugin(directory, force=options.force)
    except OSError as error:
        # Not the error's own file name, which may be that of the temporary file.
        print(f"{directory / PLUGIN_FILE}: {error.strerror or error}", file=sys.stderr)
        return FAILED


def install_plugin(directory: Path, *, force: bool = False) -> int:
    """Write the plugin file into ``directory``, and say what was done.

    :param force: also over a file that differs.
    :returns: the exit status.
    :raises OSError: the directory is none, or the file cannot be read or written.
    """
    if not directory.is_dir():
        print(f"{directory}: is no directory; give the one that the server has as --plugin-dir", file=sys.stderr)
        return FAILED
    target = directory / PLUGIN_FILE
    source = plugin_source().encode()
    found = target.read_bytes() if target.exists() else None
    if found == source:
        print(f"{target}: is that of influxdb3-notifier {__version__} already")
        return DONE
    if found is not None and not force:
        print(
            f"{target}: differs from that of influxdb3-notifier {__version__}, so it was not overwritten; "
            "keep a copy and give --force",
            file=sys.stderr,
        )
        return REFUSED
    _replace(target, source)
    done = "written" if found is None else "overwritten"
    print(f"{target}: {done}, that of influxdb3-notifier {__version__}")
    return DONE


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="influxdb3-notifier", description="Tools of influxdb3-notifier, the notification plugin of InfluxDB 3."
    )
    parser.add_argument("--version", action="version", version=f"influxdb3-notifier {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    install = commands.add_parser(
        "install-plugin",
        help="write the plugin file into the server's plugin directory",
        description=INSTALL_PLUGIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    install.add_argument("directory", metavar="DIR", help="the server's --plugin-dir")
    install.add_argument("--force", action="store_true", help="overwrite a file that differs")
    channels.add_command(commands)
    return parser
