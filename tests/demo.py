"""One notification for five channels, from the request to what each provider received: ``make demo``.

Runs on the engine host of the tests, or on a real server when ``INFLUXDB3`` names its program. Ends with a status
other than 0 if anything was not delivered.
"""

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests import harness
from tests.harness import Engine, Response, Standin

ACCOUNT = "AC" + "0" * 32


def request(url: str) -> dict[str, Any]:
    """A notification for five channels at the stand-in."""
    twilio = {"twilio_sid": ACCOUNT, "twilio_token": "0" * 32}
    return {
        "notification_text": "CPU usage of db1 is 97 %",
        "senders_config": {
            "slack": {"slack_webhook_url": f"{url}/services/T00000000/B00000000/{'X' * 24}"},
            "discord": {"discord_webhook_url": f"{url}/api/webhooks/123456789012345678/{'abc' * 22}ab"},
            "http": {"http_webhook_url": f"{url}/hook/alerts"},
            "sms": {**twilio, "twilio_from_number": "+15017122661", "twilio_to_number": "+15558675310"},
            "whatsapp": {**twilio, "twilio_from_number": "+14155238886", "twilio_to_number": "+15558675310"},
        },
    }


def run(engine: Engine, standin: Standin) -> list[str]:
    """Create the trigger, send the request, show the results; returns undelivered messages."""
    engine.create_trigger("notify", arguments={"twilio_base_url": standin.url})
    body = request(standin.url)
    show_request(engine, body)
    response = harness.post(engine, body, headers={"Content-Type": "application/json"})
    show_answer(response)
    show_providers(standin)
    show_logs(engine)
    return undelivered(response, list(body["senders_config"]), standin)


def show_request(engine: Engine, body: dict[str, Any]) -> None:
    """The request as a curl command."""
    heading("Request")
    print(f"curl -X POST {engine.url}/api/v3/engine/notify \\")
    print("  -H 'Authorization: Bearer TOKEN' -H 'Content-Type: application/json' -d '")
    print(json.dumps(body, indent=2) + "'")


def show_answer(response: Response) -> None:
    """The status, duration and JSON of the response."""
    heading(f"Response: HTTP {response.status} after {response.elapsed * 1000:.0f} ms")
    print(response.text if response.json is None else json.dumps(response.json, indent=2, ensure_ascii=False))


def show_providers(standin: Standin) -> None:
    """The requests that each provider received."""
    heading("What the providers received")
    for got in standin.requests():
        verdict = "accepted" if got["accepted"] else f"not accepted: {got['problem']}"
        print(f"{got['provider']:<9} {got['method']} {got['path']} -> HTTP {got['status']}, {verdict}")
        print(f"          {got['body']}")


def show_logs(engine: Engine) -> None:
    """The rows that a query of system.processing_engine_logs returns."""
    heading("SELECT log_level, log_text FROM system.processing_engine_logs")
    for row in engine.logs("notify"):
        print(f"{row['log_level']:<5} {row['log_text']}")


def undelivered(response: Response, senders: list[str], standin: Standin) -> list[str]:
    """The messages that did not arrive, according to the response or the providers."""
    if response.status != 200 or not isinstance(response.json, dict):
        return [f"the request: HTTP {response.status}"]
    results = response.json.get("results", {})
    missing = [f"{sender}: {results.get(sender)!r}" for sender in senders if results.get(sender) is not True]
    arrived = len(standin.messages())
    if not missing and arrived != len(senders):
        missing.append(f"the providers accepted {arrived} messages, not {len(senders)}")
    return missing


def heading(text: str) -> None:
    """A heading."""
    print(f"\n=== {text}")


def main() -> int:
    """Start the stand-ins and an engine, run the example."""
    with ExitStack() as stack:
        standin = stack.enter_context(Standin())
        plugin_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        program = harness.real_server_program()
        print(f"engine: {program or 'the engine host of the tests'}, stand-in providers: {standin.url}")
        engine = harness.start_engine(plugin_dir)
        stack.callback(engine.stop)
        missing = run(engine, standin)
    heading("Not delivered: " + "; ".join(missing) if missing else "All delivered")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
