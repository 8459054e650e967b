"""The promises and differences in the documents, and the tests that verify them."""

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
    "sends an SMS up to three times if the reply is lost": ("test_a_message_with_a_lost_reply_is_looked_up",),
    "sends an identical request again": ("test_of_many_identical_requests_at_once_one_is_sent",),
    "`TWILIO_SID`, `TWILIO_TOKEN` of the environment win": (
        "test_a_requests_twilio_credentials_win_over_the_environments",
    ),
    "adds a second `whatsapp:` to a number that has one": ("test_the_whatsapp_prefix_is_never_doubled",),
    "Discord and Twilio refuse too long texts; Slack breaks them anywhere": ("test_a_text_that_is_too_long_is_split",),
    "ignores `title`, `level`, `status`, `fields`, `link`": (
        "test_each_channel_sends_one_message_as_the_dry_run_shows",
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
"""The tests for each row of the table in docs/migration.md, by its first column."""


PROMISES = {
    "No connection is made to link-local and cloud metadata addresses, in any": (
        "metadata_and_link_local_addresses_are_denied_always_in_every_spelling",
        "a_name_that_leads_to_a_metadata_service_is_denied_under_every_policy",
        "test_metadata_and_link_local_addresses_are_denied_always",
        "test_metadata_addresses_are_denied_for_twilio_too",
    ),
    "`private_addresses=deny` denies all special addresses": (
        "private_addresses_are_denied_when_the_operator_says_so_and_only_then",
        "a_name_that_leads_to_a_private_address_is_denied_when_the_operator_says_so",
        "test_private_addresses_are_denied_when_the_operator_says_so",
    ),
    "`allowed_hosts` compares whole host names, in any spelling, also of the `Host`": (
        "test_near_misses_of_allowed_hosts_are_denied",
        "test_other_spellings_of_an_allowed_host_are_allowed",
        "test_a_host_header_is_judged_by_allowed_hosts",
        "a_host_header_is_judged_like_the_host_of_the_url",
    ),
    "`allowed_hosts` and `private_addresses` apply to requests, not to the": (
        "test_the_address_policy_for_requests_does_not_apply_to_the_operators_twilio_address",
    ),
    "The address that was checked is the one connected to; remembered addresses are": (
        "of_a_name_with_mixed_addresses_only_the_allowed_are_tried",
        "the_answer_that_was_checked_is_the_one_connected_to",
        "a_later_answer_is_judged_anew",
    ),
    "A connection under one trigger's policy is not used under a stricter one": (
        "a_connection_that_one_policy_opened_is_not_used_under_another",
        "test_a_connection_that_one_policy_opened_is_not_used_under_another",
    ),
    "Behind a proxy, denied addresses are refused before the proxy is asked; an": (
        "denied_addresses_are_refused_before_the_proxy_is_asked",
        "a_proxy_resolves_names_unless_they_resolve_here_to_denied_addresses",
        "test_an_unusable_proxy_is_named_and_never_bypassed",
        "a_host_that_no_proxy_names_goes_straight_and_by_the_guards_own_rule",
    ),
    "URLs other than `http` and `https` are refused": (
        "urls_are_taken_or_refused_with_a_clear_sentence",
        "test_an_invalid_url_is_that_senders_failure",
    ),
    "A redirect is never followed; of its address only scheme, host and port are": (
        "test_a_redirect_is_never_followed",
        "of_the_address_that_a_redirect_leads_to_its_host_is_shown",
    ),
    "Certificates are checked, against this host's store and Mozilla's; nothing": (
        "test_an_invalid_certificate_fails_at_once_with_its_cause",
        "the_bundled_roots_and_the_systems_are_trusted_together",
    ),
    "A mail is sent unencrypted only if the configuration file allows it, to a": (
        "plaintext_is_sent_only_to_private_and_loopback_addresses",
        "test_no_mail_goes_to_a_public_address_without_encryption",
        "test_a_request_cannot_choose_a_relay_without_encryption",
        "test_no_password_is_sent_without_encryption",
        "test_nothing_is_sent_in_clear_unless_the_file_allows_it",
    ),
    "Blind recipients of a mail are in no header": ("test_with_cc_all_recipients_see_to_and_cc_and_none_sees_bcc",),
    "Markup in title, fields and link is shown as text, and mentions nobody": (
        "test_markup_in_a_rich_form_is_shown_as_text",
        "test_markup_in_a_link_stays_in_the_link",
    ),
    "A request's headers cannot change a message's framing, nor add a line": (
        "test_headers_of_the_connection_and_with_line_breaks_are_dropped",
        "test_headers_beyond_the_limits_of_servers_are_dropped_and_the_message_is_sent",
    ),
    "Keys that sign webhooks come from the operator only; each attempt": (
        "a_request_with_signing_keys_is_refused",
        "signatures_are_those_of_the_reference_implementation",
        "each_attempt_has_a_new_signature_and_the_same_id",
    ),
    "A body of 1 MiB costs at most 64 MiB, and time in proportion to its length": (
        "no_body_takes_more_memory_than_is_allowed_and_costs_grow_in_proportion",
        "test_a_hostile_body_is_answered_quickly_with_little_memory",
    ),
    "Waiting deliveries hold at most 64 MiB": (
        "test_everything_that_waits_is_counted_and_nothing_is_accepted_beyond_the_limit",
    ),
    "A reply is read and inflated to 64 KiB, and cannot make the process grow": (
        "test_many_endless_bodies_at_once_do_not_make_the_process_grow",
        "test_a_gzip_bomb_is_not_inflated",
    ),
    "One request cannot push out the log lines and history rows of others": (
        "test_deliveries_that_were_never_tried_leave_room_for_log_lines_and_rows_of_others",
    ),
    "No file stops a call or fills the memory (on a dead file system, a pipe, a": (
        "test_a_file_that_cannot_be_read_in_time_is_a_503_and_other_triggers_work",
        "test_the_configuration_stays_while_its_file_cannot_be_read_in_time",
        "test_a_path_that_is_no_file_or_never_ends_is_a_503_at_once",
        "test_a_certificate_store_that_is_no_file_or_never_ends_stops_no_handshake",
    ),
    "No bytes of a request, an argument, a header or a reply make the code panic or": (
        "the_corpora_of_the_fuzzers_pass",
    ),
    "A request's secret that a reply echoes is not shown, in any [encoding": (
        "test_a_secret_that_the_provider_echoes_is_not_shown",
        "every_encoding_of_a_secret_is_masked",
    ),
    "No output (response, log, views, previews, standard error) shows a webhook URL": (
        "test_no_secret_is_shown_in_background_lines_or_by_a_dry_run",
        "test_no_secret_of_a_failing_destination_is_shown",
        "test_no_secret_for_a_denied_address_is_shown",
        "test_no_error_and_no_warning_quotes_a_value",
        "test_no_url_in_an_invalid_value_is_quoted",
    ),
    "No output shows secrets of the environment, a proxy's password, secrets of the": (
        "test_no_secret_of_the_environment_is_shown",
        "test_no_secret_of_the_configuration_file_is_shown",
        "test_no_error_of_the_configuration_file_quotes_a_value",
        "debug_of_nothing_that_comes_from_the_file_shows_a_secret",
    ),
    "A crash shows its place in the code, and no data": (
        "a_panic_prints_its_place_and_nothing_that_it_holds",
        "debug_of_nothing_that_holds_a_secret_shows_it",
    ),
    "A destination's name is the same after a restart, and reveals nothing of its": (
        "test_labels_are_stable_and_reveal_nothing_of_the_secret",
    ),
    "A provider's words are shown as clean text of at most 300 characters": (
        "test_a_hostile_body_becomes_clean_printable_text_of_at_most_300_characters",
    ),
    "No name from a caller or receiver breaks a log line, moves a terminal's cursor": (
        "test_names_from_callers_and_receivers_cannot_break_the_output",
    ),
    "`request_destinations=ignore` or `deny` sends nothing to a request's": (
        "test_receivers_follow_from_request_file_and_arguments",
        "test_a_callers_request_reaches_a_receiver_without_knowing_its_secret",
    ),
    "What only the file may set is ignored in requests, and so are `{ env }` and `{": (
        "test_in_a_request_it_is_ignored_with_a_warning",
        "test_references_to_secrets_work_only_in_the_file",
    ),
    "A trigger argument with a password in its URL is refused, and not quoted": (
        "a_password_in_an_argument_is_refused_without_being_quoted",
        "test_an_argument_with_a_password_is_refused_and_not_quoted",
    ),
    "An unusable edit of the configuration file changes nothing": (
        "test_after_an_invalid_edit_the_last_valid_configuration_stays_and_the_log_says_why_once",
    ),
    "Texts of requests are data for templates, never templates": (
        "test_a_failing_template_sends_the_plain_text_with_a_warning",
    ),
    "A template reaches only the notification and its data; its cost is bounded": (
        "test_a_template_that_loops_recurses_or_makes_a_gigabyte_sends_the_plain_text",
        "test_a_deeply_nested_template_ends_no_thread_of_the_database",
        "deep_nesting_ends_with_a_text_or_an_error",
        "a_template_that_builds_too_much_ends_soon_with_a_text_or_an_error",
        "no_more_threads_hang_than_there_may_be_however_many_callers_come_at_once",
    ),
    "A template's value cannot contain itself, nest deep or grow without bound": (
        "test_a_value_that_contains_itself_or_doubles_sends_the_plain_text",
        "any_program_of_lists_objects_and_namespaces_ends_soon",
    ),
    "Licences and sources of all built-in code are known": (
        "test_every_licence_is_allowed_and_every_source_is_crates_io",
    ),
}
"""For the beginning of each promise of SECURITY.md, the tests that verify it."""


def test_every_difference_from_the_python_plugin_has_its_tests() -> None:
    page = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
    rows = (
        page.partition("| Python plugin | influxdb3-notifier |\n| --- | --- |\n")[2].partition("\n\n")[0].splitlines()
    )
    assert [row.strip("| ").partition(" | ")[0] for row in rows] == list(MIGRATION)
    assert {name for names in MIGRATION.values() for name in names} - TESTS == set()


def test_every_promise_has_its_tests() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    section = text.partition("\n## Promises\n")[2].partition("\n## ")[0]
    promises = re.findall(r"^- (.*?)(?=\n- |\n\n|\Z)", section, re.MULTILINE | re.DOTALL)
    assert len(promises) == len(PROMISES)
    for promise, beginning in zip(promises, PROMISES, strict=True):
        assert " ".join(promise.split()).startswith(beginning)
    assert {name for names in PROMISES.values() for name in names} - TESTS == set()
