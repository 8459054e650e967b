"""Run an engine host: ``python -m tests.engine_host --plugin-dir DIR [--trigger-arguments k=v,…]``.

Prints one line of JSON with the address and the token, then serves until its standard input closes or it is
interrupted.
``POST /api/v3/write_lp`` takes line protocol, as the real server does. The host itself is controlled by
``GET /_host/logs`` (the log rows), ``POST /_host/triggers`` and ``DELETE /_host/triggers/NAME`` (further triggers),
``POST /_host/run/NAME`` (a scheduled trigger's call, now) and ``POST /_host/flush`` (of the write-ahead log, now).
"""

import argparse
import json
import sys
import threading
from pathlib import Path

from tests.engine_host.host import EngineHost
from tests.engine_host.trigger import ERROR_BEHAVIORS, parse_trigger_arguments


def main() -> None:
    """Run an engine host."""
    options = _parser().parse_args()
    plugin_dir = Path(options.plugin_dir).resolve()
    # `python -m` adds the working directory to sys.path. The engine does not add the plugin directory.
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != plugin_dir]
    host = EngineHost(
        plugin_dir,
        port=options.port,
        flush_interval=options.flush_interval,
        authentication=not options.without_auth,
    ).start()
    host.create_trigger(
        options.name,
        path=options.path,
        spec=options.spec,
        arguments=parse_trigger_arguments(*options.trigger_arguments),
        run_asynchronous=not options.synchronous,
        error_behavior=options.error_behavior,
    )
    print(json.dumps({"url": host.url, "port": host.port, "token": host.token}), flush=True)
    try:
        if options.until_stdin_closes:
            sys.stdin.read()
        else:
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    host.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.engine_host", description="An engine host with one trigger.")
    parser.add_argument("--plugin-dir", default=".")
    parser.add_argument("--path", default="notifier_plugin.py", help="the plugin file, in the plugin directory")
    parser.add_argument(
        "--spec",
        default="request:notify",
        help="request:PATH, every:DURATION, cron:EXPRESSION, table:NAME or all_tables",
    )
    parser.add_argument("--name", default="notify", help="the trigger's name")
    parser.add_argument("--trigger-arguments", action="append", default=[], metavar="K=V,…")
    parser.add_argument("--synchronous", action="store_true", help="without --run-asynchronous")
    parser.add_argument(
        "--error-behavior", choices=ERROR_BEHAVIORS, default="log", help="the action after a call that raises"
    )
    parser.add_argument("--without-auth", action="store_true", help="accept requests without a token")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--flush-interval", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--until-stdin-closes", action="store_true")
    return parser


if __name__ == "__main__":
    main()
