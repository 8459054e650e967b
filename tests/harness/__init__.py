"""What tests, demo and benchmark stand on.

``http``            one request, one answer
``processes``       waiting for what comes to be; where the repository is
``standin``         the stand-in providers, and their control
``engines``         a Processing Engine, whichever it is: :class:`Engine`
``real_server``     a server of InfluxDB 3, which ``INFLUXDB3`` names
``process_engine``  an engine host in a process of its own
``programs``        Python programs as processes, which start without their imports
``triggers``        makes triggers for a test, and notifies by them
``nats``            NATS servers
``preload``         other names, files or clocks for a process
``cable``           a connection that can be cut and healed
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
