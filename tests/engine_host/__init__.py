"""A stand-in for InfluxDB 3's Processing Engine, for tests, demo and benchmark.

The source of a plugin is compiled and executed anew at every call, on a worker thread; return values are
read with the engine's oddities; what the engine's ``influxdb3_local`` cannot do from another thread, this
one cannot do either.

``host``          the HTTP server, the triggers, their queues: :class:`EngineHost`
``trigger``       what a trigger is: its specification, its arguments
``plugin``        one call: load the source, call its function
``answer``        what the engine makes of the value returned
``local``         ``influxdb3_local``
``line_builder``  ``LineBuilder``, which plugins find among the builtins
``logs``          the rows of ``system.processing_engine_logs``
"""

from tests.engine_host.host import EngineHost
from tests.engine_host.local import PanicException
from tests.engine_host.trigger import parse_trigger_arguments

__all__ = ["EngineHost", "PanicException", "parse_trigger_arguments"]
