"""Levels in the words of other systems and of the operator: routing and display."""

from typing import Any

import pytest

from tests.contract.case import HOST, Case, delivers, delivers_to, run_case
from tests.contract.provider_requests import HTTP, to_http
from tests.harness import Standin, Triggers

RECEIVERS = "".join(
    f'[receivers.{level}.http]\nwebhook_url = "http://{HOST}/hook/{level}"\n'
    for level in ["critical", "error", "warning", "info", "ok", "default"]
)
ROUTES = "".join(
    f'[[routes]]\nmatch = {{ level = "{level}" }}\nreceivers = ["{level}"]\n'
    for level in ["critical", "error", "warning", "info", "ok"]
)
FILE = '[settings]\ndefault_receivers = ["default"]\n' + RECEIVERS + ROUTES
MAP = 'level_map = { sev1 = "warning", Wichtig = "critical", 3 = "info", true = "error" }\n'
MAPPED = FILE.replace("[settings]\n", "[settings]\n" + MAP)


def hi(level: Any, text: str = "hi") -> dict[str, Any]:
    return {"notification_text": text} | ({} if level is None else {"level": level})


def routed(given: Any, level: str, config: str = FILE, **members: Any) -> Case:
    """A notification that arrives at the receiver of a level, with that level."""
    body = b'{"message":"hi","level":"' + level.encode() + b'"}'
    return delivers_to(f"level {given!r}", hi(given), config, (level, to_http(body, f"/hook/{level}")), **members)


def no_level(found: str) -> list[str]:
    return [f"level: must be one of ok, info, warning, error, critical, found {found}; error is used"]


KNOWN = [
    routed(word, level)
    for level, words in {
        "critical": "critical CRIT fatal emergency emerg alert panic page P1 p0 sev1 SEV-1 sev_0 disaster",
        "error": "error err major p2 Sev-2",
        "warning": "warning WARN minor P3 sev3",
        "info": "info informational notice debug none p4 P5 sev5",
        "ok": "ok normal Cleared",
    }.items()
    for word in words.split()
]
UNKNOWN = [
    *(routed(word, "error", warnings=no_level(f"'{word}'")) for word in ["kritical", "high", "resolved", "6", "P 1 !"]),
    routed("x" * 70, "error", warnings=no_level("'***'")),
    routed(1, "error", warnings=no_level("'1'")),
    routed(0, "error", warnings=no_level("'0'")),
    routed(True, "error", warnings=no_level("'true'")),
    routed(["critical"], "error", warnings=no_level("an array")),
    routed({}, "error", warnings=no_level("an object")),
    *(
        delivers_to(f"a level that is {what}", hi(value), FILE, ("default", to_http("hi", "/hook/default")))
        for what, value in [("not given", None), ("empty", ""), ("blank", " \n")]
    ),
    delivers(
        "without a file",
        hi("kritical") | {"senders_config": {"http": HTTP}},
        to_http(b'{"message":"hi","level":"error"}'),
        warnings=no_level("'kritical'"),
    ),
]
OWN = [
    routed("SEV-1", "warning", MAPPED),
    routed("sev2", "error", MAPPED),
    routed("WICHTIG", "critical", MAPPED),
    routed(3, "info", MAPPED),
    routed(True, "error", MAPPED),
    routed(4, "error", MAPPED, warnings=no_level("'4'")),
    delivers_to(
        "a matcher by a word of the operator's",
        hi("crit"),
        MAPPED.replace('match = { level = "critical" }', 'match = { level = ["wichtig", "p0"] }'),
        ("critical", to_http(b'{"message":"hi","level":"critical"}', "/hook/critical")),
    ),
]
IN_TEXT = [
    delivers_to(f"the text {text!r}", hi(None, text), config, (receiver, to_http(text, f"/hook/{receiver}")))
    for text, config, receiver in [
        ("[FATAL] disk", FILE, "critical"),
        ("[P3] disk", FILE, "warning"),
        ("[page] disk", FILE, "critical"),
        ("[kritical] disk", FILE, "default"),
        ("[1] disk", FILE, "default"),
        ("[sev1] disk", FILE, "critical"),
        ("[sev1] disk", MAPPED, "warning"),
        ("[ Wichtig ] disk", MAPPED, "critical"),
        ("[wichtig disk", MAPPED, "default"),
    ]
]


@pytest.mark.parametrize("case", KNOWN + UNKNOWN + OWN + IN_TEXT, ids=str)
def test_a_level_alias_routes_as_its_level_and_an_unknown_level_as_error(
    case: Case, triggers: Triggers, standin: Standin
) -> None:
    run_case(case, triggers, standin)
