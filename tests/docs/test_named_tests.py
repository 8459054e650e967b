"""Every test that a document names exists."""

import re

from tests.harness import ROOT

SOURCES = [
    *(file for crate in ("src", "core", "jetstream", "tests") for file in (ROOT / crate).rglob("*.rs")),
    *(ROOT / "tests").rglob("test_*.py"),
]
TESTS = {
    name
    for source in SOURCES
    for name in re.findall(r"^\s*(?:async )?(?:def|fn) (\w+)\(", source.read_text(encoding="utf-8"), re.MULTILINE)
}


MIGRATION = {
    "sends one channel after the other": ("test_a_channel_that_hangs_delays_no_other",),
    "responds after the last retry": ("test_a_channel_that_hangs_delays_no_other",),
    "`status` is `success` for every readable request": ("the_status_of_every_combination",),
    "an unreadable request: 200, without `results`": ("test_a_request_that_cannot_be_read_is_400_with_results",),
    "a sender that is a list or no object: 500, later senders get nothing": (
        "test_only_the_sender_that_is_no_object_fails",
        "test_a_list_means_several_destinations",
    ),
    "only 200 and 204 count; after 201 or 202 it sends three times": ("test_any_2xx_is_delivered_with_one_post",),
    "any 200 of Slack counts": ("test_provider_errors_are_classified_as_the_specification_says",),
    "tries every failure three times, also a deleted webhook": (
        "test_a_deleted_destination_fails_at_once_with_a_hint",
        "test_every_status_is_classified_as_the_table_says",
    ),
    "ignores `Retry-After`": ("test_retry_after_is_respected_in_every_form",),
    "sends an SMS up to three times if the reply is lost": ("test_a_message_whose_reply_was_lost_is_looked_up",),
    "sends an identical request again": ("test_of_many_identical_requests_at_once_one_is_sent",),
    "`TWILIO_SID`, `TWILIO_TOKEN` of the environment win": (
        "test_a_requests_twilio_credentials_win_over_the_environments",
    ),
    "adds a second `whatsapp:` to a number that has one": ("test_the_whatsapp_prefix_is_never_doubled",),
    "Discord and Twilio refuse too long texts; Slack breaks them anywhere": ("test_a_text_that_is_too_long_is_split",),
    "ignores `title`, `level`, `status`, `fields`, `link`": (
        "test_what_arrives_is_what_a_dry_run_shows_one_message_a_channel",
    ),
    "ignores an unknown `level`": ("test_a_level_alias_routes_as_its_level_and_an_unknown_level_as_error",),
    "sends `null`, lists and objects as text": ("test_only_http_passes_on_values_that_are_no_text",),
    "sends a number to Slack and Discord as JSON number": ("test_a_number_is_sent_as_its_text",),
    "any number of destinations in a request": ("test_a_request_is_answered_as_the_contract_says",),
    "reads `NaN` and `Infinity` as numbers": ("test_nan_and_infinite_numbers_are_text",),
    "bodies up to the server's 10 MiB": ("test_a_body_over_one_mebibyte_is_400",),
    "sends to the webhook's URL as given": ("test_discord_is_asked_to_say_whether_the_message_was_saved",),
    "`User-Agent: python-httpx/…`": ("test_the_user_agent_says_who_sends",),
    "no key on webhooks": ("test_http_webhooks_receive_an_idempotency_key",),
    "sends headers of the connection, such as `Content-Length`; a value that is no string ends the sender": (
        "test_headers_of_the_connection_and_with_line_breaks_are_dropped",
        "test_a_header_with_a_value_that_is_no_string_is_dropped",
    ),
    "reaches any address": ("test_metadata_and_link_local_addresses_are_denied_always",),
    "log lines begin `[task_id]` and can hold URLs": (
        "test_log_lines_begin_with_notifier_and_the_task_id",
        "test_a_secret_that_the_provider_echoes_is_not_shown",
    ),
    "ignores `receivers`, `template`, `data`": (
        "test_receivers_follow_from_request_file_and_arguments",
        "test_a_failing_template_sends_the_plain_text_with_a_warning",
    ),
    "needs `httpx` and `twilio`": ("test_the_wheel_needs_no_other_package",),
}
"""For each row of the table in docs/migration.md, by its first column, the tests that hold it."""


def unknown_tests(names: str) -> list[str]:
    """Of the names in backticks those that no test has."""
    named = re.findall(r"`(\w+)`", names)
    assert named, names
    return [name for name in named if name not in TESTS]


def test_every_difference_from_the_python_plugin_has_its_tests() -> None:
    page = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
    rows = (
        page.partition("| Python plugin | influxdb3-notifier |\n| --- | --- |\n")[2].partition("\n\n")[0].splitlines()
    )
    assert [row.strip("| ").partition(" | ")[0] for row in rows] == list(MIGRATION)
    assert {name for names in MIGRATION.values() for name in names} - TESTS == set()


def test_every_promise_names_a_test_that_exists() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    section = text.partition("\n## Promises\n")[2].partition("\n## ")[0]
    promises = re.findall(r"^- .*?(?=\n- |\n\n|\Z)", section, re.MULTILINE | re.DOTALL)
    assert len(promises) > 30
    for promise in promises:
        _, _, names = " ".join(promise.split()).rpartition(": `")
        assert unknown_tests(f"`{names}") == [], promise
