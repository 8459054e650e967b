"""The answers to requests: each outcome, each kind of error, the views, and a row of the history."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.harness import PLUGIN, Response, eventually
from tests.shapes.conftest import MESSAGES, Caller
from tests.shapes.golden import compare

HOOK = "/hook/golden"


def test_delivered(caller: Caller) -> None:
    response = caller.response("hook", "chat", "phone", level="error", title="db1")
    compare("answers/delivered", response)


def test_failed(caller: Caller) -> None:
    caller.standin.rule(HOOK, reply={"status": 404, "body": "no such hook"})
    senders = {"slack": {"slack_webhook_url": "ftp://127.0.0.1/"}, "carrier_pigeon": {}}
    compare("answers/failed", caller.response("hook", "nobody", senders_config=senders))


def test_ambiguous(caller: Caller) -> None:
    caller.standin.rule(MESSAGES, method="POST", accept_first=True, hang=True, times=1)
    arguments = {"on_ambiguous": "report", "attempt_timeout": "200ms"}
    compare("answers/ambiguous", caller.response("phone", arguments=arguments))


def test_pending(caller: Caller) -> None:
    caller.standin.rule(HOOK, reply={"status": 503, "body": ""}, times=1)
    compare("answers/pending", caller.response("hook"))


def test_suppressed(caller: Caller) -> None:
    compare("answers/suppressed", caller.response("hook", level="ok"))


def test_dry_run(caller: Caller) -> None:
    compare("answers/dry_run", caller.response("hook", "phone", dry_run=True))


def test_ignored(caller: Caller) -> None:
    arguments = {"request_destinations": "ignore", "default_receivers": "hook"}
    senders = {"http": {"http_webhook_url": "http://127.0.0.1/"}}
    compare("answers/ignored", caller.response(senders_config=senders, arguments=arguments))


def test_replayed(caller: Caller) -> None:
    caller.response("hook", idempotency_key="golden")
    compare("answers/replayed", caller.response("hook", idempotency_key="golden"))


def test_joined(caller: Caller) -> None:
    caller.standin.rule(HOOK, delay_ms=300)
    arguments = {"response_timeout": "0s"}
    caller.response("hook", title="joined", arguments=arguments)
    eventually(lambda: caller.standin.requests(HOOK), "the attempt has begun")
    compare("answers/joined", caller.response("hook", title="joined", arguments=arguments))
    caller.standin.wait_for(HOOK)


def test_warnings(caller: Caller) -> None:
    compare("answers/warnings", caller.response("hook", titel="db1", level="urgent", link=7))


def test_nobody_is_named(caller: Caller) -> None:
    compare("answers/nothing_to_do", caller.response(senders_config={}))


def error(response: Response) -> dict[str, Any]:
    """The members of an error response."""
    return {"status": response.status, "Retry-After": response.header("Retry-After"), "body": response.json}


def test_errors(caller: Caller) -> None:
    text = {"notification_text": "disk full"}
    own = {**text, "senders_config": {"http": {"http_webhook_url": "http://127.0.0.1/"}}}
    caller.response("hook", title="one", idempotency_key="conflict")
    compare("errors/no_body", error(caller.notify(b"")))
    compare("errors/no_json", error(caller.notify(b"{")))
    compare("errors/missing_field", error(caller.notify({"title": "db1"})))
    compare("errors/wrong_type", error(caller.notify({**text, "receivers": 7})))
    conflict = {**text, "receivers": ["hook"], "idempotency_key": "conflict"}
    compare("errors/idempotency_conflict", error(caller.notify(conflict)))
    compare("errors/unknown_view", error(caller.view("health")))
    compare("errors/destinations_denied", error(caller.notify(own, request_destinations="deny")))
    compare("errors/invalid_argument", error(caller.notify(text, max_attempts="many")))
    outbox = error(caller.notify({**text, "receivers": ["hook"]}, outbox="nowhere/outbox.db"))
    compare("errors/outbox", outbox, directory=caller.engine.plugin_dir)


def test_no_wheel(caller: Caller) -> None:
    source = PLUGIN.read_text()
    for loaded, absent in [
        ('modules.get("influxdb3_notifier")', "None"),
        ("import influxdb3_notifier as wheel", 'raise ModuleNotFoundError("absent", name="influxdb3_notifier")'),
    ]:
        assert source.count(loaded) == 1
        source = source.replace(loaded, absent)
    compare("errors/wheel_missing", error(caller.create(source=source).notify(b"{}")))


def test_too_much_in_flight(caller: Caller) -> None:
    caller.standin.rule(HOOK, delay_ms=300, times=1)
    arguments = {"max_in_flight": "1", "response_timeout": "0s"}
    caller.response("hook", title="first", arguments=arguments)
    response = caller.notify({"notification_text": "second", "receivers": ["hook"]}, **arguments)
    compare("errors/too_much_in_flight", error(response))
    caller.standin.wait_for(HOOK)


# Views


def view(response: Response) -> dict[str, Any]:
    """The status view, with only its first error."""
    status = dict(response.json)
    return {**status, "last_errors": status["last_errors"][:1]}


def test_status(caller: Caller) -> None:
    caller.response("nobody")
    words = {"in_flight": "<count>", "pending": "<count>", "paused": "<count>", "version": "<version>"}
    compare("views/status_ok", view(caller.view("status", max_atempts="1")), words)
    compare("views/status_unusable", view(caller.view("status", max_attempts="many")), words)
    file = caller.engine.plugin_dir / "outdated.toml"
    file.write_text('[receivers.hook.http]\nwebhook_url = "http://127.0.0.1/"\n')
    caller.view("status", config_file_path=file.name)
    file.write_text("[recievers]\n")

    def outdated() -> Response | None:
        found = caller.view("status", config_file_path=file.name)
        return None if found.json["status"] == "ok" else found

    compare("views/status_outdated", view(eventually(outdated, "the file is read again")), words)


def test_metrics(caller: Caller) -> None:
    """Families with their help, and the series of each by their labels' names."""
    caller.response("hook", "nobody")
    families = {}
    for family in text_string_to_metric_families(caller.view("metrics").text):
        series = {f"{sample.name}{{{', '.join(sample.labels)}}}" for sample in family.samples}
        families[family.name] = {"type": family.type, "help": family.documentation, "series": sorted(series)}
    compare("views/metrics", families)


# History


def test_rows_of_the_history(caller: Caller) -> None:
    refusal = {"status": 400, "body": '{"code": 21211, "message": "no"}'}
    caller.standin.rule(MESSAGES, method="POST", reply=refusal, times=1)
    before = len(caller.engine.lines())
    caller.response("phone", level="critical")
    caller.response("phone", level="critical")
    compare("history/rows", caller.engine.lines()[before:])
