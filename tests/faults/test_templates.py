"""Templates that loop, recurse, nest or make too much: the plain text goes out, and nothing fails."""

import re
import time
from pathlib import Path

import pytest

from tests.contract.case import write_config
from tests.faults.isolation import GROWTH, LATENESS, TooLateError, best_of_three, engine_pid
from tests.faults.process_usage import resident_bytes
from tests.harness import Standin, Triggers

LOOPS = {
    "a loop of loops": "{% for i in range(9999) %}{% for j in range(9999) %}{{ i * j }}{% endfor %}{% endfor %}",
    "a loop that makes nothing": "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    "a range of a billion": "{{ range(1000000000) | list | length }}",
    "a macro that calls itself": "{% macro a(n) %}{{ a(n + 1) }}{% endmacro %}{{ a(0) }}",
    "a loop that recurses": "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "a gigabyte by multiplication": "{{ 'x' * 1000000000 }}",
    "a gigabyte by doubling": "{% set a = 'xxxxxxxx' %}" + "{% set a = a ~ a %}" * 27 + "{{ a }}",
    "a gigabyte by replacing": "{{ ('x' * 40000) | replace('x', 'y' * 40000) }}",
    "a gigabyte by joining": "{{ range(9999) | join('x' * 100000) }}",
    "a gigabyte by a width": "{{ '%1000000000d' | format(1) }}",
    "a gigabyte by indenting": "{{ 'x' | indent(1000000000, true) }}",
    "a gigabyte of list": "{{ ([0] * 99999 * 9999) | length }}",
    "a gigabyte piece by piece": (
        "{% for i in range(9999) %}{% for j in range(99) %}{{ 'xxxxxxxxxx' * 100 }}{% endfor %}{% endfor %}"
    ),
    "a gigabyte of JSON": "{% set a = '\"' * 9999 %}{{ a" + " | tojson" * 30 + " }}",
}
NESTS = {
    "lists in lists": "{% set a = [] %}" + "{% set a = [[[[a]]]] %}" * 3000 + "{{ a | tojson }}",
    "lists in a loop": (
        "{% set s = namespace(x=[]) %}{% for i in range(50000) %}{% set s.x = [s.x] %}{% endfor %}{{ s.x | string }}"
    ),
    "nots": "{{ " + "not " * 15000 + "1 }}",
    "a sum": "{{ 1" + "+1" * 30000 + " }}",
    "filters": "{{ 1" + "|string" * 8000 + " }}",
    "conditions": "{% if 0 %}" + "{% elif 0 %}" * 5000 + "{% endif %}",
    "parentheses": "{{ " + "(" * 30000 + "1" + ")" * 30000 + " }}",
}
VALUES = {
    "a namespace in itself": "{% set ns = namespace() %}{% set b = ns %}{% set ns.me = b %}{{ ns }}",
    "a namespace in its own list": "{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns | tojson }}",
    "two namespaces in one another": (
        "{% set a = namespace() %}{% set b = namespace(a=a) %}{% set ns = a %}{% set c = b %}{% set ns.b = c %}{{ a }}"
    ),
    "a loop in itself": "{% for x in [1, 2] %}{% set l = loop %}{{ loop.changed(l) }}{% endfor %}",
    "a list doubled": "{% set a = [1] %}" + "{% set a = [a, a] %}" * 60 + "{{ a }}",
    "a list doubled in a loop": (
        "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}"
    ),
    "lists doubled and compared": (
        "{% set a = [1] %}{% set b = [1] %}" + "{% set a = [a, a] %}{% set b = [b, b] %}" * 40 + "{{ a == b }}"
    ),
    "objects doubled": "{% set a = {} %}" + "{% set a = {'x': a, 'y': a} %}" * 60 + "{{ a | tojson }}",
    "empty lists added": "{% set a = [] + [] %}" + "{% set a = a + a | chain(a) + [a] %}" * 40 + "{{ a | length }}",
    "a macro with a list": "{% macro m(x) %}{{ m([x, x]) }}{{ x }}{% endmacro %}{{ m([1]) }}",
    "lists compared often": (
        "{% set a = [range(9000) | list] %}{% set b = [range(9000) | list] %}"
        "{% for i in range(9000) %}{% if a == b %}{% endif %}{% endfor %}{{ a | batch }}"
    ),
}
WARNING = re.compile(r"line (\d+), column (\d+) of the configuration file: ")
HI = {"notification_text": "the plain text"}


def config(standin: Standin, template: str) -> str:
    """A template for the text of one receiver and the body of another; ``'''`` is not in any."""
    return (
        f"[templates.t]\ntext = '''\n{template}'''\n"
        f'[receivers.text.http]\nwebhook_url = "{standin.url}/hook/text"\ntemplate = "t"\n'
        f"[receivers.body.http]\nwebhook_url = \"{standin.url}/hook/body\"\nbody_template = '''{template}'''\n"
        f'[receivers.other.slack]\nwebhook_url = "{standin.url}/services/T0/B0/other"\n'
    )


@pytest.mark.parametrize("template", VALUES.values(), ids=VALUES)
@best_of_three
def test_a_value_that_contains_itself_or_doubles_sends_the_plain_text(
    template: str, triggers: Triggers, standin: Standin
) -> None:
    sends_the_plain_text(template, triggers, standin)


@pytest.mark.parametrize("template", LOOPS.values(), ids=LOOPS)
@best_of_three
def test_a_template_that_loops_recurses_or_makes_a_gigabyte_sends_the_plain_text(
    template: str, triggers: Triggers, standin: Standin
) -> None:
    sends_the_plain_text(template, triggers, standin)


def sends_the_plain_text(template: str, triggers: Triggers, standin: Standin) -> None:
    file = write_config(triggers.engine.plugin_dir, config(standin, template))
    trigger = triggers.create({"config_file_path": str(file)})
    trigger.notify(HI | {"receivers": ["other"]})
    before = resident_bytes(engine_pid(trigger))
    standin.clear()
    started = time.monotonic()
    response = trigger.notify(HI | {"receivers": ["text", "body", "other"]})
    elapsed = time.monotonic() - started
    assert response.json["results"] == {"text": True, "body": True, "other": True}
    assert sorted(message["text"] for message in standin.messages()) == ["the plain text"] * 3
    text, body = response.json["warnings"]
    assert text.startswith("template t: ")
    assert text.endswith("; the text goes as it is")
    assert body.startswith("receivers.body: body_template: ")
    assert body.endswith("; sent without it")
    # Where the template begins.
    place = WARNING.search(text)
    assert place
    assert place.groups() == ("2", "8")
    place = WARNING.search(body)
    assert place
    assert place[1] == "9"
    assert resident_bytes(engine_pid(trigger)) - before < GROWTH
    for receivers in (["other"], ["text"]):
        again = trigger.notify({"notification_text": "again", "receivers": receivers, "dedup_key": "k"})
        assert again.json["status"] == "success"
    # Each of the two templates takes 100 ms at most, and one more step.
    if elapsed > 2 + LATENESS:
        raise TooLateError(f"{elapsed:.2f} s")


@pytest.mark.parametrize("template", NESTS.values(), ids=NESTS)
def test_a_deeply_nested_template_ends_no_thread_of_the_database(
    template: str, triggers: Triggers, standin: Standin
) -> None:
    """Either it is refused when the file is read, with its place, or it makes a text, or the plain one goes."""
    standin.rule("/hook/*", any_content_type=True)
    file = write_config(triggers.engine.plugin_dir, config(standin, template))
    trigger = triggers.create({"config_file_path": str(file)})
    response = trigger.notify(HI | {"receivers": ["text", "body", "other"]})
    if response.status == 503:
        assert re.search(r"line 2, column 8: templates\.t\.text: ", response.json["message"])
    else:
        assert response.json["results"] == {"text": True, "body": True, "other": True}


def test_a_request_with_a_looping_template_and_ten_thousand_fields_is_answered(
    triggers: Triggers, standin: Standin
) -> None:
    names = "{% for name, value in notification.fields | items %}{{ name }}={{ value }}{% endfor %}"
    text = config(standin, names) + '[templates.deep]\ntext = "{{ data.a.a.a.a.a.a.a.a.a | tojson }}"\n'
    trigger = triggers.create({"config_file_path": str(write_config(triggers.engine.plugin_dir, text))})
    fields = {f"n{n}": n for n in range(10_000)}
    made = trigger.notify(HI | {"receivers": ["other"], "template": "t", "fields": fields}).json
    assert (made["results"], made["warnings"][0][:20]) == ({"other": True}, "receivers.other: fie"), made["warnings"]
    data: object = 1
    for _ in range(60):
        data = {"a": data}
    made = trigger.notify(HI | {"receivers": ["other"], "template": "deep", "data": data}).json
    assert (made["results"], made["warnings"]) == ({"other": True}, [])
    assert len(standin.messages()) > 2


def test_ten_thousand_receivers_with_looping_templates_delay_nobody(
    triggers: Triggers, standin: Standin, tmp_path: Path
) -> None:
    """The templates of one request have a common bound."""
    receivers = [
        f'[receivers.r{n}.http]\nwebhook_url = "{standin.url}/sink/{n}"\n'
        f"body_template = '{{% for i in range(9999) %}}{{% for j in range(999) %}}{n}{{% endfor %}}{{% endfor %}}'\n"
        for n in range(200)
    ]
    trigger = triggers.create({"config_file_path": str(write_config(tmp_path, "".join(receivers)))})
    started = time.monotonic()
    response = trigger.notify(HI | {"receivers": [f"r{n}" for n in range(200)], "dry_run": True}).json
    assert set(response["results"].values()) == {"dry_run"}
    assert time.monotonic() - started < 10
    assert "have taken too long already" in response["warnings"][50]
