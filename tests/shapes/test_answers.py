"""The answers to requests: each outcome, each kind of error, the views, and a row of the history."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.harness import PLUGIN, Response, eventually
from tests.shapes.conftest import MESSAGES, Caller
from tests.shapes.golden import compare

HOOK = "/hook/golden"


def test_delivered(caller: Caller) -> None:
    answer = caller.answer("hook", "chat", "phone", level="error", title="db1")
    compare("answers/delivered", answer)


def test_failed(caller: Caller) -> None:
    caller.standin.rule(HOOK, reply={"status": 404, "body": "no such hook"})
    senders = {"slack": {"slack_webhook_url": "ftp://127.0.0.1/"}, "carrier_pigeon": {}}
    compare("answers/failed", caller.answer("hook", "nobody", senders_config=senders))


def test_ambiguous(caller: Caller) -> None:
    caller.standin.rule(MESSAGES, method="POST", accept_first=True, hang=True, times=1)
    arguments = {"on_ambiguous": "report", "attempt_timeout": "200ms"}
    compare("answers/ambiguous", caller.answer("phone", arguments=arguments))


def test_pending(caller: Caller) -> None:
    caller.standin.rule(HOOK, reply={"status": 503, "body": ""}, times=1)
    compare("answers/pending", caller.answer("hook"))


def test_suppressed(caller: Caller) -> None:
    compare("answers/suppressed", caller.answer("hook", level="ok"))


def test_dry_run(caller: Caller) -> None:
    compare("answers/dry_run", caller.answer("hook", "phone", dry_run=True))


def test_ignored(caller: Caller) -> None:
    arguments = {"request_destinations": "ignore", "default_receivers": "hook"}
    senders = {"http": {"http_webhook_url": "http://127.0.0.1/"}}
    compare("answers/ignored", caller.answer(senders_config=senders, arguments=arguments))


def test_replayed(caller: Caller) -> None:
    caller.answer("hook", idempotency_key="golden")
    compare("answers/replayed", caller.answer("hook", idempotency_key="golden"))


def test_joined(caller: Caller) -> None:
    caller.standin.rule(HOOK, delay_ms=300)
    arguments = {"response_timeout": "0s"}
    caller.answer("hook", title="joined", arguments=arguments)
    eventually(lambda: caller.standin.requests(HOOK), "the attempt has begun")
    compare("answers/joined", caller.answer("hook", title="joined", arguments=arguments))
    caller.standin.wait_for(HOOK)


def test_warnings(caller: Caller) -> None:
    compare("answers/warnings", caller.answer("hook", titel="db1", level="urgent", link=7))


def test_nobody_is_named(caller: Caller) -> None:
    compare("answers/nothing_to_do", caller.answer(senders_config={}))


def error(answer: Response) -> dict[str, Any]:
    """What belongs to an error's answer."""
    return {"status": answer.status, "Retry-After": answer.header("Retry-After"), "body": answer.json}


def test_errors(caller: Caller) -> None:
    text = {"notification_text": "disk full"}
    own = {**text, "senders_config": {"http": {"http_webhook_url": "http://127.0.0.1/"}}}
    caller.answer("hook", title="one", idempotency_key="conflict")
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
    caller.answer("hook", title="first", arguments=arguments)
    answer = caller.notify({"notification_text": "second", "receivers": ["hook"]}, **arguments)
    compare("errors/too_much_in_flight", error(answer))
    caller.standin.wait_for(HOOK)


# Views


def view(answer: Response) -> dict[str, Any]:
    """What a status view shows, with its first error alone."""
    status = dict(answer.json)
    return {**status, "last_errors": status["last_errors"][:1]}


def test_status(caller: Caller) -> None:
    caller.answer("nobody")
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
    caller.answer("hook", "nobody")
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
    caller.answer("phone", level="critical")
    caller.answer("phone", level="critical")
    compare("history/rows", caller.engine.lines()[before:])
