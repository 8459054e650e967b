"""
{
"plugin_type": ["http", "scheduled", "onwrite"],
"http_args_config": [
{"name": "config_file_path", "example": "notifier.toml", "description": "TOML file with receivers and routes, in the plugin directory. Default: none.", "required": false},
{"name": "response_timeout", "example": "2s", "description": "How long a call waits for its deliveries, 0s to 4.5s. Default: 2s.", "required": false},
{"name": "delivery_timeout", "example": "5min", "description": "How long a delivery is retried, 1s to 7d. Default: 5min, with an outbox 24h.", "required": false},
{"name": "failure_status", "example": "502", "description": "HTTP status when nothing was delivered: 200 or 502. Default: 200.", "required": false},
{"name": "default_receivers", "example": "oncall backup", "description": "Receivers of the file when no route matches, with spaces. Default: none.", "required": false},
{"name": "request_destinations", "example": "ignore", "description": "What becomes of senders_config: allow, ignore or deny. Default: allow.", "required": false},
{"name": "allowed_hosts", "example": "hooks.slack.com *.example.com", "description": "Hosts that requests may name, separated by spaces. Default: any.", "required": false},
{"name": "private_addresses", "example": "deny", "description": "Whether requests may name private networks: allow or deny. Default: allow.", "required": false},
{"name": "outbox", "example": "notifier.db", "description": "SQLite file or nats://host:4222 that keeps what was accepted. Default: none.", "required": false},
{"name": "history_table", "example": "notifications", "description": "Table that gets one row per delivery. Default: none.", "required": false},
{"name": "dry_run", "example": "true", "description": "Say what would be sent, and send nothing. Default: false.", "required": false}
],
"scheduled_args_config": [
{"name": "config_file_path", "example": "notifier.toml", "description": "TOML file with receivers and routes, in the plugin directory. Default: none.", "required": false},
{"name": "outbox", "example": "notifier.db", "description": "SQLite file or nats://host:4222 that keeps what was accepted. Default: none.", "required": false}
],
"onwrite_args_config": [
{"name": "config_file_path", "example": "notifier.toml", "description": "TOML file with receivers and routes, in the plugin directory. Default: none.", "required": false},
{"name": "text_column", "example": "message", "description": "Column with the text. Default: message, else the row's fields.", "required": false},
{"name": "level_column", "example": "severity", "description": "Column with the level: ok, info, warning, error or critical. Default: none.", "required": false},
{"name": "title_column", "example": "title", "description": "Column with the title. Default: none.", "required": false},
{"name": "status_column", "example": "status", "description": "Column with firing, acknowledged or resolved. Default: none.", "required": false},
{"name": "dedup_key_column", "example": "alert_id", "description": "Column with the dedup key: rows of one key are one alert. Default: none.", "required": false},
{"name": "template", "example": "short", "description": "Template of the file that makes the text. Default: none.", "required": false},
{"name": "delivery_timeout", "example": "5min", "description": "How long a delivery is retried, 1s to 7d. Default: 5min, with an outbox 24h.", "required": false},
{"name": "default_receivers", "example": "oncall backup", "description": "Receivers of the file when no route matches, with spaces. Default: none.", "required": false},
{"name": "outbox", "example": "notifier.db", "description": "SQLite file or nats://host:4222 that keeps what was accepted. Default: none.", "required": false},
{"name": "history_table", "example": "notifications", "description": "Table that gets one row per delivery. Default: none.", "required": false},
{"name": "dry_run", "example": "true", "description": "Say what would be sent, and send nothing. Default: false.", "required": false}
]
}
"""

from sys import modules

# The engine compiles this file at every call. This part is compiled when the wheel is not loaded yet, or does not load.
LOAD = """
WHEEL_VERSION = "0.1.0"
try:
    import influxdb3_notifier as wheel

    wheel.process_request, wheel.process_scheduled_call, wheel.process_writes
except BaseException as error:  # a Rust panic while the wheel loads is no Exception
    code, message, then = (
        "wheel_incompatible",
        "The installed Python package influxdb3-notifier does not fit notifier_plugin.py.",
        "and restart the server after an upgrade",
    )
    if isinstance(error, ModuleNotFoundError) and error.name == "influxdb3_notifier":
        code, message, then = (
            "wheel_missing",
            "The Python package influxdb3-notifier is not installed.",
            "(it reports success even when pip fails)",
        )
    hint = f"Run: influxdb3 install package 'influxdb3-notifier=={WHEEL_VERSION}' {then}"
    cause = ascii(f"{type(error).__name__}: {error}")[1:-1]

    def log(plugin_api, influxdb3_local, *_):
        influxdb3_local.error(f"notifier [-] {code}: {message} {hint}. Cause: {cause}")

    def answer(*call):
        log(*call)
        body = {"status": "failed", "message": message, "task_id": None, "results": {}, "deliveries": [], "warnings": []}
        return {**body, "error": {"code": code, "path": None, "hint": hint}}, 503

    class wheel:
        process_request, process_scheduled_call, process_writes = answer, log, log
"""
wheel = modules.get("influxdb3_notifier")
if not hasattr(wheel, "process_writes"):
    exec(LOAD)


# The first argument is the version of the interface between this file and the wheel.
def process_request(*call):
    return wheel.process_request(1, *call)


def process_writes(*call):
    wheel.process_writes(1, *call)


def process_scheduled_call(*call):
    wheel.process_scheduled_call(1, *call)
