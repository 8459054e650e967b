"""``worker --config FILE``: deliver the requests of an outbox, outside the database."""

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

DESCRIPTION = """
Claims and delivers the requests in the outbox of a configuration file that no server owns: requests of servers that
stopped, and retried dead letters. Runs until SIGTERM or SIGINT. With an outbox on NATS you can run any number of
workers, on any machine. Prints the log lines of a server on standard error.
"""
STATUSES = {
    command.DONE: "a signal stopped the worker; it released the deliveries that had not ended",
    command.FAILED: "the worker could not start: the file has errors or no outbox, or the port is in use",
    command.INTERRUPTED: "a second signal ended the worker without a wait for deliveries in flight",
}
EXAMPLES = """
influxdb3-notifier worker --config /etc/influxdb3-notifier/notifier.toml
influxdb3-notifier worker --config notifier.toml --metrics 9187
influxdb3-notifier worker --config notifier.toml --metrics 0.0.0.0:9187 --grace 60
"""
POLL_INTERVAL = 0.25
"""Seconds between two claims."""
BUSY_POLL_INTERVAL = 0.02
"""Seconds until the next claim after one of more than ``BUSY_REQUESTS``."""
BUSY_REQUESTS = 64
DEFAULT_GRACE = 20.0
REPEAT_ERROR_AFTER = 240
"""Claims after which the worker logs the same error again."""
METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def add(commands: command.Commands) -> None:
    """Add the command."""
    parser = command.add(
        commands,
        "worker",
        run,
        brief="deliver the requests of an outbox",
        description=DESCRIPTION,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    parser.add_argument("--config", metavar="FILE", required=True, help="the TOML configuration file on this machine")
    parser.add_argument(
        "--config-file-path",
        metavar="PATH",
        help="the triggers' config_file_path; with NATS only the file name counts; default: FILE's name",
    )
    command.add_arguments(parser)
    parser.add_argument(
        "--metrics",
        metavar="[HOST:]PORT",
        type=_address,
        help="serve Prometheus metrics at /metrics; default HOST: 127.0.0.1",
    )
    parser.add_argument(
        "--grace",
        metavar="SECONDS",
        type=command.seconds(3600),
        default=DEFAULT_GRACE,
        help=f"how long a stop waits for deliveries in flight; default: {DEFAULT_GRACE:g}",
    )


def run(options: argparse.Namespace) -> int:
    """Deliver until a signal arrives."""
    arguments = {**dict(options.argument), "config_file_path": os.path.abspath(options.config)}
    claimed_config_path = options.config_file_path or os.path.basename(options.config)
    log, stop = Log(partial(print, file=sys.stderr, flush=True)), _stop_at_signals()
    # Before the first claim: a worker that cannot start must not claim requests.
    metrics = _metrics_server(*options.metrics) if options.metrics else None
    error = _native.work(log, arguments, claimed_config_path)["error"]
    if error and not error["retryable"]:
        output.print_error(f"{error['message']} {error['hint']}")
        return command.FAILED
    if metrics:
        threading.Thread(target=metrics.serve_forever, name="metrics", daemon=True).start()
        host, port = metrics.server_address[:2]
        log.info(f"notifier [-] metrics at http://{host!s}:{port}/metrics")
    log.info(f"notifier [-] worker {_native.__version__} has started")
    _claim_until_stopped(log, arguments, claimed_config_path, stop, error)
    log.info(f"notifier [-] worker stops: waits at most {options.grace:g} s for deliveries in flight")
    released = _native.stop_work(options.grace)
    if metrics:
        metrics.shutdown()
    log.info(f"notifier [-] worker has stopped: {output.counted(released, 'delivery', 'deliveries')} released")
    return command.DONE


def _claim_until_stopped(
    log: Log,
    arguments: dict[str, str],
    claimed_config_path: str,
    stop: threading.Event,
    error: dict[str, str | bool] | None,
) -> None:
    logged, claims_since_logged, interval = None, 0, POLL_INTERVAL
    while True:
        message = f"{error['message']} {error['hint']}" if error else None
        claims_since_logged += 1
        if message != logged or (message and claims_since_logged >= REPEAT_ERROR_AFTER):
            log.error(f"notifier [-] {message}") if message else log.info("notifier [-] the outbox can be used again")
            logged, claims_since_logged = message, 0
        if stop.wait(interval):
            return
        report = _native.work(log, arguments, claimed_config_path)
        error = report["error"]
        # A full claim means that the outbox probably has more requests.
        interval = BUSY_POLL_INTERVAL if report["claimed"] > BUSY_REQUESTS else POLL_INTERVAL


def _stop_at_signals() -> threading.Event:
    """An event that the first signal sets. A second signal has its default effect."""
    stop = threading.Event()

    def handle_signal(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle_signal)
    return stop


class _MetricsHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Serve the metrics."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "metrics are at /metrics")
            return
        body = _native.metrics().encode()
        self.send_response(200)
        self.send_header("Content-Type", METRICS_CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: standard error is for log lines of deliveries."""


def _metrics_server(host: str, port: int) -> ThreadingHTTPServer:
    """A server that listens on the port but does not accept requests yet."""
    try:
        server = ThreadingHTTPServer((host, port), _MetricsHandler)
    except OSError as error:
        output.print_error(f"--metrics: cannot listen on {host}:{port}: {error.strerror}")
        raise command.CommandError(command.FAILED) from None
    server.daemon_threads = True
    return server


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is neither PORT nor HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)
