"""
{
    "plugin_type": [
        "http",
        "scheduled",
        "onwrite"
    ],
    "http_args_config": [
        {
            "name": "config_file_path",
            "example": "notifier.toml",
            "description": "TOML file with settings, receivers, routes, templates and silences. A relative path starts at PLUGIN_DIR, else INFLUXDB3_PLUGIN_DIR, else the directory that holds the virtual environment. Default: none.",
            "required": false
        },
        {
            "name": "response_timeout",
            "example": "2s",
            "description": "How long a call waits for its deliveries before it answers pending, 0s to 4.5s. 0s answers at once. Default: 2s.",
            "required": false
        },
        {
            "name": "delivery_timeout",
            "example": "5min",
            "description": "How long a delivery is retried before it has failed, 1s to 7d. Default: 5min, with an outbox 24h.",
            "required": false
        },
        {
            "name": "max_attempts",
            "example": "10",
            "description": "How often one message is attempted at most, 1 to 100. Default: 10.",
            "required": false
        },
        {
            "name": "initial_backoff",
            "example": "1s",
            "description": "Wait before the first retry, doubled each time, 10ms to 1h. Default: 1s.",
            "required": false
        },
        {
            "name": "max_backoff",
            "example": "60s",
            "description": "Longest wait between two attempts, 10ms to 1h. Default: 60s.",
            "required": false
        },
        {
            "name": "connect_timeout",
            "example": "5s",
            "description": "Time limit for a connection with its TLS handshake, 1ms to 5min. Default: 5s.",
            "required": false
        },
        {
            "name": "attempt_timeout",
            "example": "15s",
            "description": "Time limit for one attempt as a whole, 1ms to 5min. Default: 15s.",
            "required": false
        },
        {
            "name": "failure_status",
            "example": "502",
            "description": "HTTP status of the answer when nothing was delivered: 200 or 502. Default: 200.",
            "required": false
        },
        {
            "name": "default_receivers",
            "example": "oncall backup",
            "description": "Receivers of the TOML file, separated by spaces, used when a request names no destination and no route matches. Default: none.",
            "required": false
        },
        {
            "name": "request_destinations",
            "example": "ignore",
            "description": "What becomes of senders_config in requests: allow, ignore (the default receivers and routes of the TOML file decide) or deny (403). Default: allow.",
            "required": false
        },
        {
            "name": "allowed_hosts",
            "example": "hooks.slack.com *.example.com",
            "description": "Hosts, separated by spaces, that requests may name as destinations; *.suffix allows what is below the suffix. Default: any host.",
            "required": false
        },
        {
            "name": "private_addresses",
            "example": "deny",
            "description": "Whether requests may name destinations in private networks: allow or deny. Cloud metadata addresses are denied always. Default: allow.",
            "required": false
        },
        {
            "name": "rate_limit",
            "example": "5/s",
            "description": "Messages per destination and unit of time, such as 5/s or 60/min. Default: no limit.",
            "required": false
        },
        {
            "name": "dedup_window",
            "example": "5min",
            "description": "A notification that equals one of this time span is not sent again, 0s to 7d. Default: 0s, which is off.",
            "required": false
        },
        {
            "name": "repeat_interval",
            "example": "4h",
            "description": "How long a notification with the same dedup key, level and status is not repeated, 1s to 7d. Default: none.",
            "required": false
        },
        {
            "name": "max_per_minute",
            "example": "30",
            "description": "Notifications per minute to each destination of a receiver, the rest goes in one digest, 1 to 100000. Default: no limit.",
            "required": false
        },
        {
            "name": "on_ambiguous",
            "example": "lookup",
            "description": "What to do when an SMS or WhatsApp message may or may not have been taken: lookup, report or resend. Default: lookup.",
            "required": false
        },
        {
            "name": "outbox",
            "example": "notifier.db",
            "description": "SQLite file, or nats://host:4222, that keeps accepted notifications until they are delivered, also over a restart. Relative as config_file_path is. Default: none.",
            "required": false
        },
        {
            "name": "history_table",
            "example": "notifications",
            "description": "Table of the trigger's database that gets one row per delivery. Default: none.",
            "required": false
        },
        {
            "name": "max_in_flight",
            "example": "10000",
            "description": "Deliveries under way at most, 1 to 1000000; a request beyond is answered 503. Default: 10000.",
            "required": false
        },
        {
            "name": "max_connections",
            "example": "256",
            "description": "Open connections over all destinations, 1 to 65535. Default: an eighth of the descriptor limit, 64 to 1024.",
            "required": false
        },
        {
            "name": "twilio_base_url",
            "example": "https://api.ie1.twilio.com",
            "description": "Base address of the Twilio API. Wins over TWILIO_EDGE and TWILIO_REGION. Default: that of Twilio.",
            "required": false
        },
        {
            "name": "allow_mentions",
            "example": "false",
            "description": "Whether the text of a notification may mention people and groups. Default: true.",
            "required": false
        },
        {
            "name": "dry_run",
            "example": "true",
            "description": "Say what would be sent, and send nothing. Default: false.",
            "required": false
        }
    ],
    "scheduled_args_config": [
        {
            "name": "config_file_path",
            "example": "notifier.toml",
            "description": "TOML file of the request trigger. Default: none.",
            "required": false
        },
        {
            "name": "outbox",
            "example": "notifier.db",
            "description": "Outbox of the request trigger, where the TOML file does not name it: what a stopped server has left there is delivered. Default: none.",
            "required": false
        }
    ],
    "onwrite_args_config": [
        {
            "name": "config_file_path",
            "example": "notifier.toml",
            "description": "TOML file with settings, receivers, routes, templates and silences. A relative path starts at PLUGIN_DIR, else INFLUXDB3_PLUGIN_DIR, else the directory that holds the virtual environment. Default: none.",
            "required": false
        },
        {
            "name": "text_column",
            "example": "message",
            "description": "Column with the text; a row without it is told by its fields. Default: message.",
            "required": false
        },
        {
            "name": "level_column",
            "example": "severity",
            "description": "Column with the level: ok, info, warning, error or critical. Default: none.",
            "required": false
        },
        {
            "name": "title_column",
            "example": "title",
            "description": "Column with the title. Default: none.",
            "required": false
        },
        {
            "name": "status_column",
            "example": "status",
            "description": "Column with firing, acknowledged or resolved. Default: none.",
            "required": false
        },
        {
            "name": "dedup_key_column",
            "example": "alert_id",
            "description": "Column with the dedup key: rows of one key are one alert. Default: none.",
            "required": false
        },
        {
            "name": "link_column",
            "example": "runbook",
            "description": "Column with an http or https URL. Default: none.",
            "required": false
        },
        {
            "name": "receivers_column",
            "example": "receivers",
            "description": "Column with names of receivers, separated by spaces. Default: none, so routes and default receivers decide.",
            "required": false
        },
        {
            "name": "template",
            "example": "short",
            "description": "Template of the TOML file that makes the text. Default: none.",
            "required": false
        },
        {
            "name": "delivery_timeout",
            "example": "5min",
            "description": "How long a delivery is retried before it has failed, 1s to 7d. Default: 5min, with an outbox 24h.",
            "required": false
        },
        {
            "name": "max_attempts",
            "example": "10",
            "description": "How often one message is attempted at most, 1 to 100. Default: 10.",
            "required": false
        },
        {
            "name": "initial_backoff",
            "example": "1s",
            "description": "Wait before the first retry, doubled each time, 10ms to 1h. Default: 1s.",
            "required": false
        },
        {
            "name": "max_backoff",
            "example": "60s",
            "description": "Longest wait between two attempts, 10ms to 1h. Default: 60s.",
            "required": false
        },
        {
            "name": "connect_timeout",
            "example": "5s",
            "description": "Time limit for a connection with its TLS handshake, 1ms to 5min. Default: 5s.",
            "required": false
        },
        {
            "name": "attempt_timeout",
            "example": "15s",
            "description": "Time limit for one attempt as a whole, 1ms to 5min. Default: 15s.",
            "required": false
        },
        {
            "name": "default_receivers",
            "example": "oncall backup",
            "description": "Receivers of the TOML file, separated by spaces, used when a request names no destination and no route matches. Default: none.",
            "required": false
        },
        {
            "name": "rate_limit",
            "example": "5/s",
            "description": "Messages per destination and unit of time, such as 5/s or 60/min. Default: no limit.",
            "required": false
        },
        {
            "name": "dedup_window",
            "example": "5min",
            "description": "A notification that equals one of this time span is not sent again, 0s to 7d. Default: 0s, which is off.",
            "required": false
        },
        {
            "name": "repeat_interval",
            "example": "4h",
            "description": "How long a notification with the same dedup key, level and status is not repeated, 1s to 7d. Default: none.",
            "required": false
        },
        {
            "name": "max_per_batch",
            "example": "20",
            "description": "Rows of one write that a receiver gets as they are, the rest goes in one digest, 1 to 100000. Default: no limit.",
            "required": false
        },
        {
            "name": "max_per_minute",
            "example": "30",
            "description": "Notifications per minute to each destination of a receiver, the rest goes in one digest, 1 to 100000. Default: no limit.",
            "required": false
        },
        {
            "name": "on_ambiguous",
            "example": "lookup",
            "description": "What to do when an SMS or WhatsApp message may or may not have been taken: lookup, report or resend. Default: lookup.",
            "required": false
        },
        {
            "name": "outbox",
            "example": "notifier.db",
            "description": "SQLite file, or nats://host:4222, that keeps accepted notifications until they are delivered, also over a restart. Relative as config_file_path is. Default: none.",
            "required": false
        },
        {
            "name": "history_table",
            "example": "notifications",
            "description": "Table of the trigger's database that gets one row per delivery. Default: none.",
            "required": false
        },
        {
            "name": "max_in_flight",
            "example": "10000",
            "description": "Deliveries under way at most, 1 to 1000000; a request beyond is answered 503. Default: 10000.",
            "required": false
        },
        {
            "name": "max_connections",
            "example": "256",
            "description": "Open connections over all destinations, 1 to 65535. Default: an eighth of the descriptor limit, 64 to 1024.",
            "required": false
        },
        {
            "name": "twilio_base_url",
            "example": "https://api.ie1.twilio.com",
            "description": "Base address of the Twilio API. Wins over TWILIO_EDGE and TWILIO_REGION. Default: that of Twilio.",
            "required": false
        },
        {
            "name": "allow_mentions",
            "example": "false",
            "description": "Whether the text of a notification may mention people and groups. Default: true.",
            "required": false
        },
        {
            "name": "dry_run",
            "example": "true",
            "description": "Say what would be sent, and send nothing. Default: false.",
            "required": false
        }
    ]
}
"""

PLUGIN_API = 1
WHEEL_VERSION = "0.1.0"
MISSING = (
    "wheel_missing",
    "The Python package influxdb3-notifier is not installed.",
    "(it reports success even when pip fails)",
)
UNFIT = (
    "wheel_incompatible",
    "The installed Python package influxdb3-notifier does not fit notifier_plugin.py.",
    "and restart the server after an upgrade",
)


def process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None):
    """Deliver one notification to every channel that it names; answers JSON, always with results."""
    # The engine executes this file at every call: the wheel is imported here, once in a server's life.
    try:
        from influxdb3_notifier import process_request as deliver
    except BaseException as error:  # a Rust panic while the wheel loads is no Exception
        return _wheel_unfit(influxdb3_local, error)
    return deliver(PLUGIN_API, influxdb3_local, query_parameters, request_headers, request_body, args)


def process_writes(influxdb3_local, table_batches, args=None):
    """Deliver a notification for each row that was written to the table; returns before they are delivered."""
    try:
        from influxdb3_notifier import process_writes as deliver
    except BaseException as error:
        _wheel_unfit(influxdb3_local, error)
        return
    deliver(PLUGIN_API, influxdb3_local, table_batches, args)


def process_scheduled_call(influxdb3_local, call_time, args=None):
    """Deliver what a server that has stopped left in the outbox; says what it finds in the log."""
    try:
        from influxdb3_notifier import process_scheduled_call as look_after
    except BaseException as error:
        _wheel_unfit(influxdb3_local, error)
        return
    look_after(PLUGIN_API, influxdb3_local, call_time, args)


def _wheel_unfit(influxdb3_local, error):
    """Say which wheel is needed and how it is installed, in the log and as a 503; nothing was sent."""
    # In few words, since it is compiled at every call too.
    if isinstance(error, ModuleNotFoundError) and error.name == "influxdb3_notifier":
        code, message, then = MISSING
    else:
        code, message, then = UNFIT
    hint = f"Run: influxdb3 install package 'influxdb3-notifier=={WHEEL_VERSION}' {then}"
    cause = ascii(f"{type(error).__name__}: {error}")[1:-1]
    influxdb3_local.error(f"notifier [-] {code}: {message} {hint}. Cause: {cause}")
    body = {"status": "failed", "message": message, "task_id": None, "results": {}, "deliveries": [], "warnings": []}
    body["error"] = {"code": code, "path": None, "hint": hint}
    return body, 503
