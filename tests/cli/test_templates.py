"""``templates check``: every template of a file, even if the file has other errors."""

from pathlib import Path

from tests.cli.program import run

FILE = """\
[receivers.ops.http]
webhook_url = { env = "NOT_SET" }
body_template = '{"text": {{ notification.text | tojsn }}}'
[receivers.nobody]
[receivers.wa.whatsapp]
content_sid = "HX1"
content_variables = { 1 = "{{ notification.text }}", 2 = "{{ notification.fields.host" }
[templates.short]
text = "{{ notification.tilte }}"
[templates.long]
text = '''
{% for disk in data.disks %}
{{ disk.used | percent }}
{% endfor %}'''
"""
GOOD = """\
[templates.short]
text = "{{ notification.level | upper }}: {{ notification.text }}"
[templates.sum]
text = '''
{{ data.disks | map(attribute="used") | sum }}
of {{ data.disks | length }}'''
"""


def write(directory: Path, text: str) -> None:
    (directory / "n.toml").write_text(text)


def test_each_template_is_listed(tmp_path: Path) -> None:
    write(tmp_path, FILE)
    done = run("templates", "check", "n.toml", cwd=tmp_path)
    assert (done.status, done.err) == (1, "")
    assert done.lines() == [
        "n.toml:3:17: error: receivers.ops.http.body_template: there is no filter tojsn; did you mean tojson?",
        "n.toml:7:27: receivers.wa.whatsapp.content_variables.1: valid",
        "n.toml:7:58: error: receivers.wa.whatsapp.content_variables.2: this {{ is not closed; }} is missing",
        "n.toml:9:8: warning: templates.short.text: there is no notification.tilte, so this is empty; "
        "did you mean notification.title?",
        "n.toml:9:8: templates.short.text: valid",
        "n.toml:11:8: templates.long.text: valid",
        "n.toml: 5 templates",
    ]


def test_given_a_notification_each_template_shows_its_result(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    flags = ["--text", "disk full", "--level", "error", "--data", '{"disks": [{"used": 1}, {"used": 2}]}']
    done = run("templates", "check", "n.toml", *flags, cwd=tmp_path)
    assert (done.status, done.err) == (0, "")
    assert done.lines() == [
        "n.toml:2:8: templates.short.text: valid",
        "    ERROR: disk full",
        "n.toml:4:8: templates.sum.text: valid",
        "    3",
        "    of 2",
        "n.toml: 2 templates",
    ]
    done = run("templates", "check", "n.toml", "--text", "x", "--data", '{"disks": 5}', cwd=tmp_path)
    assert done.status == 1
    assert done.lines()[-2].startswith("n.toml:4:8: ")
    assert "error: templates.sum.text: " in done.lines()[-2]


def test_programs_read_json(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    flags = ["--level", "ok", "--data", '{"disks": 5}']
    done = run("templates", "check", "n.toml", *flags, "--format", "json", cwd=tmp_path)
    assert done.status == 1
    first, second = done.json["templates"]
    assert first == {
        "path": "templates.short.text",
        "line": 2,
        "column": 8,
        "errors": [],
        "warnings": [],
        "text": "OK: a notification",
    }
    assert (second["text"], second["errors"][0]["line"]) == (None, 4)


def test_a_file_that_is_no_toml_ends_with_3(tmp_path: Path) -> None:
    write(tmp_path, "[templates")
    done = run("templates", "check", "n.toml", cwd=tmp_path)
    assert (done.status, done.out) == (3, "")
    assert done.err.startswith("n.toml:1:11: error: ")
    done = run("templates", "check", "none.toml", cwd=tmp_path)
    assert (done.status, done.out, done.err) == (3, "", "none.toml: error: the file is not there\n")


def test_a_file_without_templates_is_valid(tmp_path: Path) -> None:
    write(tmp_path, '[receivers.a.slack]\nwebhook_url = "https://a.example"\n')
    assert run("templates", "check", "n.toml", cwd=tmp_path).lines() == ["n.toml: 0 templates"]
