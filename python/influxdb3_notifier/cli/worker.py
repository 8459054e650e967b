"""``worker --config FILE``: deliver what an outbox holds, outside the database, until told to stop."""

import argparse
import os
import signal
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType

from influxdb3_notifier import _native
from influxdb3_notifier.cli import command, output
from influxdb3_notifier.cli.output import Log

DOES = """
Delivers what the outbox of a configuration file holds and no server has in hand, until SIGTERM or SIGINT: what a
server that has stopped has left, and what was retried. With an outbox on NATS it may run on any machine, and
there may be as many as are wanted. Log lines go to standard error, as they stand in a server's log.
"""
STATUSES = {
    command.DONE: "stopped as it was told to; what had not ended is left to others",
    command.FAILED: "it could not begin: the file cannot be used, names no outbox, or the port is taken",
    command.INTERRUPTED: "interrupted a second time, without waiting for what was under way",
}
EXAMPLES = """
influxdb3-notifier worker --config /etc/influxdb3-notifier/notifier.toml
influxdb3-notifier worker --config notifier.toml --metrics 9187
influxdb3-notifier worker --config notifier.toml --metrics 0.0.0.0:9187 --grace 60
"""
ROUND = 0.25
"""Seconds between two looks for work, where the last has found little or enough."""
AT_ONCE = 0.02
"""Where it has found as much as is taken at a time, and there may be more."""
MUCH = 64
GRACE = 20.0
SAY_AGAIN = 240
"""Rounds after which the same trouble is said once more."""
METRICS = "text/plain; version=0.0.4; charset=utf-8"


def add(commands: command.Commands) -> None:
    """Add the command."""
    parser = command.add(
        commands,
        "worker",
        run,
        brief="deliver what an outbox holds, until told to stop",
        does=DOES,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    parser.add_argument("--config", metavar="FILE", required=True, help="the TOML configuration file, as it is here")
    parser.add_argument(
        "--config-file-path",
        metavar="PATH",
        help="the triggers' config_file_path; FILE's name if absent. On NATS only its last part counts",
    )
    command.add_arguments(parser)
    parser.add_argument(
        "--metrics",
        metavar="[HOST:]PORT",
        type=_address,
        help="serve metrics for Prometheus at /metrics; HOST is 127.0.0.1 if absent",
    )
    parser.add_argument(
        "--grace",
        metavar="SECONDS",
        type=command.seconds(3600),
        default=GRACE,
        help=f"how long a stop waits for deliveries under way; {GRACE:g} if absent",
    )


def run(options: argparse.Namespace) -> int:
    """Work until a signal comes."""
    arguments = {**dict(options.argument), "config_file_path": os.path.abspath(options.config)}
    claimed_config_path = options.config_file_path or os.path.basename(options.config)
    log, stop = Log(partial(print, file=sys.stderr, flush=True)), _stop_at_signals()
    # Before anything is taken over: what is under way would end with a worker that cannot begin.
    metrics = _metrics_server(*options.metrics) if options.metrics else None
    trouble = _native.work(log, arguments, claimed_config_path)["trouble"]
    if trouble and not trouble["passes"]:
        output.complain(f"{trouble['message']} {trouble['hint']}")
        return command.FAILED
    if metrics:
        threading.Thread(target=metrics.serve_forever, name="metrics", daemon=True).start()
        host, port = metrics.server_address[:2]
        log.info(f"notifier [-] metrics at http://{host!s}:{port}/metrics")
    log.info(f"notifier [-] worker {_native.__version__} has started")
    _work(log, arguments, claimed_config_path, stop, trouble)
    log.info(f"notifier [-] worker stops: waits at most {options.grace:g} s for deliveries under way")
    left = _native.stop_work(options.grace)
    if metrics:
        metrics.shutdown()
    what = f"{output.counted(left, 'delivery is', 'deliveries are')} left to others" if left else "nothing is left"
    log.info(f"notifier [-] worker has stopped: {what}")
    return command.DONE


def _work(
    log: Log,
    arguments: dict[str, str],
    claimed_config_path: str,
    stop: threading.Event,
    trouble: dict[str, str | bool] | None,
) -> None:
    said, silent, wait = None, 0, ROUND
    while True:
        message = f"{trouble['message']} {trouble['hint']}" if trouble else None
        silent += 1
        if message != said or (message and silent >= SAY_AGAIN):
            log.error(f"notifier [-] {message}") if message else log.info("notifier [-] the outbox can be used again")
            said, silent = message, 0
        if stop.wait(wait):
            return
        done = _native.work(log, arguments, claimed_config_path)
        trouble = done["trouble"]
        # Who has taken more than one portion in a round is quick, and has taken none beyond what it can hold.
        wait = AT_ONCE if done["taken"] > MUCH else ROUND


def _stop_at_signals() -> threading.Event:
    """An event that the first signal sets; the second one ends the process as it does any other."""
    stop = threading.Event()

    def told(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    return stop


class _Metrics(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer a scrape."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "metrics are at /metrics")
            return
        body = _native.metrics().encode()
        self.send_response(200)
        self.send_header("Content-Type", METRICS)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of scrapes: standard error is for deliveries."""


def _metrics_server(host: str, port: int) -> ThreadingHTTPServer:
    """A server that has its port, and does not answer yet."""
    try:
        server = ThreadingHTTPServer((host, port), _Metrics)
    except OSError as error:
        output.complain(f"--metrics: {host}:{port} cannot be served: {error.strerror}")
        raise command.CommandError(command.FAILED) from None
    server.daemon_threads = True
    return server


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not PORT or HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)
