"""Delivers notifications from inside InfluxDB 3: the Python face of the Rust core.

``notifier_plugin.py`` imports this package in its trigger functions. The import loads the extension module and
nothing else, because the first call of a server process waits for it.
"""

from influxdb3_notifier._native import (
    PLUGIN_APIS,
    __version__,
    process_request,
    process_scheduled_call,
    process_writes,
)

__all__ = ["PLUGIN_APIS", "__version__", "process_request", "process_scheduled_call", "process_writes"]
