"""Templates end to end: precedence, context, and warnings of failing templates."""

import json
from typing import Any

import pytest

from tests.contract.case import HOST, Case, delivers, delivers_to, run_case, write_config
from tests.contract.provider_requests import HTTP, SLACK, to_http, to_slack
from tests.harness import Standin, Triggers

FILE = f"""
[templates.short]
text = "{{{{ notification.level | upper }}}}: {{{{ notification.text }}}}"

[templates.long]
text = '''
{{% if notification.fields %}}
{{%- for name, value in notification.fields | items %}}{{{{ name }}}}={{{{ value }}}} {{% endfor -%}}
{{% endif %}}{{{{ data.runbook | default("no runbook") }}}}'''

[templates.blank]
text = "{{{{ data.nothing }}}} "

[templates.broken]
text = '''
first line
{{{{ notification.text | number }}}}'''

[receivers.ops]
http = {{ webhook_url = "http://{HOST}/hook/ops", template = "short" }}

[receivers.plain]
http = {{ webhook_url = "http://{HOST}/hook/plain" }}

[receivers.body.http]
webhook_url = "http://{HOST}/hook/body"
body_template = '{{"n": {{{{ data.n | default(0) }}}}, "text": {{{{ notification.text | tojson }}}}}}'
"""
COMPARED = FILE.replace(
    '"{{ notification.level | upper }}: {{ notification.text }}"',
    "'{% if notification.fields.cpu > 90 %}high{% else %}low{% endif %}'",
)
TEXT_COMPARED = (
    "template short: line 3, column 8 of the configuration file: a text is compared with a number, and a text is "
    "always more; write | float behind it"
)
FIRST_LINE = "'''\nfirst line"
BODY = '\'{"n": '
BROKEN_BODY = FILE.replace("data.n | default(0)", "data.n | number")


def place(text: str, config: str) -> str:
    """Where the last such string begins, as messages say it."""
    before = config[: config.rindex(text)]
    column = len(before) - before.rfind("\n")
    return f"line {before.count(chr(10)) + 1}, column {column} of the configuration file"


BROKEN = f"{place(FIRST_LINE, FILE)}: line 2 of the template: this filter takes a number"


def hi(*receivers: str, **members: Any) -> dict[str, Any]:
    return {"notification_text": "disk full", "receivers": list(receivers), **members}


def to(receiver: str, body: str | bytes) -> tuple[str, Any]:
    return receiver, to_http(body, f"/hook/{receiver}")


def rich(message: str, level: str = "error") -> bytes:
    return f'{{"message":"{message}","level":"{level}"}}'.encode()


ROWS = [
    delivers_to(
        "a receiver's own",
        hi("ops", "plain", level="err"),
        FILE,
        to("ops", rich("ERROR: disk full")),
        to("plain", rich("disk full")),
    ),
    delivers_to(
        "the request's wins, and is for all",
        hi("ops", "plain", template="long", data={"runbook": "https://runbooks.example/disk"}),
        FILE,
        to("ops", "https://runbooks.example/disk"),
        to("plain", "https://runbooks.example/disk"),
    ),
    delivers_to("what is not there is empty", hi("ops"), FILE, to("ops", ": disk full")),
    delivers_to(
        "fields in the order of the request",
        hi("plain", template="long", fields={"z": 1, "a": True, "m": 1.50}),
        FILE,
        to("plain", b'{"message":"z=1 a=True m=1.5 no runbook","fields":{"z":1,"a":true,"m":1.5}}'),
    ),
    Case(
        "the request's is for its senders too",
        {"notification_text": "x", "level": "ok", "template": "short", "senders_config": {"http": HTTP}},
        {"http": True},
        deliveries=delivers("", {}, to_http("")).deliveries,
        sent=[to_http(rich("OK: x", "ok"))],
        config=FILE,
    ),
    delivers_to(
        "a text that is none is made by the template",
        {"notification_text": {"disk": "/"}, "receivers": ["plain"], "template": "short", "level": "info"},
        FILE.replace("notification.text }}", "notification.text.disk }}", 1),
        to("plain", rich("INFO: /", "info")),
    ),
    delivers_to(
        "a body is made of the notification and the data, and the text's template comes before it",
        hi("body", data={"n": 3}, template="short", level="ok"),
        FILE,
        to("body", b'{"n": 3, "text": "OK: disk full"}'),
    ),
    delivers_to(
        "a blank text",
        hi("plain", template="blank"),
        FILE,
        to("plain", "disk full"),
        warnings=["template blank: it makes a blank text; the text goes as it is"],
    ),
    delivers_to(
        "one that fails, for two receivers, is warned of once",
        hi("ops", "plain", template="broken"),
        FILE,
        to("ops", "disk full"),
        to("plain", "disk full"),
        warnings=[f"template broken: {BROKEN}; the text goes as it is"],
    ),
    delivers_to(
        "one that there is not",
        hi("ops", level="info", template="shrot"),
        FILE,
        to("ops", rich("INFO: disk full", "info")),
        warnings=[
            "template: the configuration file has no template shrot, so the text goes as it is; did you mean short?"
        ],
    ),
    delivers(
        "one where there is no file",
        {"notification_text": "hi", "template": "short", "senders_config": {"slack": SLACK}},
        to_slack("hi"),
        warnings=["template: the configuration file has no template short, so the text goes as it is"],
    ),
    delivers_to(
        "the name of a body's template is no name",
        hi("plain", template="receivers.body.http.body_template"),
        FILE,
        to("plain", "disk full"),
        warnings=[
            "template: the configuration file has no template receivers.body.http.body_template, "
            "so the text goes as it is"
        ],
    ),
    delivers_to(
        "a body that fails goes as usual",
        hi("body", data={"n": {"a": 1}}),
        BROKEN_BODY,
        to("body", "disk full"),
        warnings=[
            f"receivers.body: body_template: {place(BODY, BROKEN_BODY)}: this filter takes a number; sent without it"
        ],
    ),
    *(
        delivers_to(
            f"a field that is the {type(cpu).__name__} {cpu!r} made a number before it is compared",
            hi("ops", fields={"cpu": cpu}),
            COMPARED.replace("fields.cpu >", "fields.cpu | float(0) >"),
            to("ops", f'{{"message":"{made}","fields":{{"cpu":{json.dumps(cpu)}}}}}'.encode()),
        )
        for cpu, made in [(95, "high"), ("95", "high"), ("5", "low"), ("abc", "low"), (0.001, "low")]
    ),
    delivers_to(
        "what a request brings is data and never a template",
        hi("ops", level="{{ 7 * 7 }}", fields={"a": "{{ 7 * 7 }}"}) | {"notification_text": "{{ 7 * 7 }}"},
        FILE.replace("[receivers.ops]", "[receivers.ops]  # {{ 7 * 7 }}"),
        to("ops", b'{"message":"ERROR: {{ 7 * 7 }}","level":"error","fields":{"a":"{{ 7 * 7 }}"}}'),
        warnings=["level: must be one of ok, info, warning, error, critical, found '{{ 7 * 7 }}'; error is used"],
    ),
]


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_a_failing_template_sends_the_plain_text_with_a_warning(
    case: Case, triggers: Triggers, standin: Standin
) -> None:
    run_case(case, triggers, standin)


@pytest.mark.parametrize(
    ("cpu", "made", "doubts"),
    [(95, "high", []), (5, "low", []), ("5", "high", [TEXT_COMPARED]), ("abc", "high", [TEXT_COMPARED])],
)
def test_comparing_an_unconverted_field_with_a_number_gets_a_warning(
    cpu: object, made: str, doubts: list[str], triggers: Triggers, standin: Standin
) -> None:
    file = write_config(triggers.engine.plugin_dir, COMPARED.replace(HOST, f"127.0.0.1:{standin.port}"))
    response = triggers.create({"config_file_path": str(file)}).notify(hi("ops", fields={"cpu": cpu})).json
    assert response["results"] == {"ops": True}
    assert standin.requests()[0]["body"].startswith(f'{{"message":"{made}"')
    first, *others = response["warnings"]
    assert first.endswith(
        "line 3, column 8: templates.short.text: notification.fields.cpu may be a text, and a text is always more "
        "than a number; write notification.fields.cpu | float"
    )
    assert others == doubts
