"""Shared support of tests, demo and benchmark.

``http``            an HTTP client
``processes``       waiting for conditions and processes; the paths of the repository
``standin``         the stand-in providers and their control interface
``engines``         the interface of a Processing Engine: :class:`Engine`
``real_server``     a server of InfluxDB 3, from the program in ``INFLUXDB3``
``process_engine``  an engine host in a separate process
``programs``        Python programs as processes, which start without their imports
``triggers``        triggers of a test, and requests to them
``nats``            NATS servers
``preload``         libraries that change names, files or clocks of a process
``cable``           a proxy that simulates a broken network
"""

from tests.harness.engines import Engine, Server, authenticated, post, start_engine, write_lp
from tests.harness.http import Headers, Response, encode_headers, http_request
from tests.harness.process_engine import ProcessEngine
from tests.harness.processes import PLUGIN, ROOT, Process, eventually, free_port, until_json_line
from tests.harness.programs import start_program
from tests.harness.real_server import RealServer, newest_wheel, real_server_program
from tests.harness.standin import Standin, standin_program
from tests.harness.triggers import Notify, Trigger, Triggers

__all__ = [
    "PLUGIN",
    "ROOT",
    "Engine",
    "Headers",
    "Notify",
    "Process",
    "ProcessEngine",
    "RealServer",
    "Response",
    "Server",
    "Standin",
    "Trigger",
    "Triggers",
    "authenticated",
    "encode_headers",
    "eventually",
    "free_port",
    "http_request",
    "newest_wheel",
    "post",
    "real_server_program",
    "standin_program",
    "start_engine",
    "start_program",
    "until_json_line",
    "write_lp",
]
