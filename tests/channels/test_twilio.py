"""SMS and WhatsApp by Twilio. Fields and credentials are in ``tests/contract/test_twilio.py``, lost replies in
``tests/faults/test_ambiguity.py``.
"""

import base64
import re
from urllib.parse import quote_plus

from tests.channels.channel import ChannelSpec, InvalidValue, Reply, delivered

CODES = {
    21211: "invalid_number",
    21614: "invalid_number",
    21212: "invalid_sender_number",
    21603: "invalid_sender_number",
    21606: "invalid_sender_number",
    21659: "invalid_sender_number",
    21660: "invalid_sender_number",
    21703: "invalid_sender_number",
    63007: "invalid_sender_number",
    21408: "unreachable_number",
    21612: "unreachable_number",
    21608: "trial_account",
    21610: "opted_out",
    21617: "too_large",
    21602: "rejected",
    30007: "forbidden",
    30034: "forbidden",
    63016: "outside_window",
    10001: "forbidden",
    20005: "forbidden",
    20404: "unknown_destination",
    21619: "rejected",
    21654: "rejected",
    21655: "rejected",
    21656: "rejected",
    21658: "too_large",
    21701: "invalid_sender_number",
    21705: "invalid_sender_number",
    63021: "too_large",
    63028: "rejected",
}
HINTS = {
    10001: "suspended",
    20005: "suspended",
    20404: "twilio_sid",
    21619: "content_sid",
    21655: "content_sid",
    21656: "content_variables",
    21701: "MG and 32",
    21705: "MG and 32",
    63016: "content_sid",
}
"""A part of the hint for each code."""
LATER = [
    (429, 20429, "rate_limited"),
    (429, 21611, "rate_limited"),
    (400, 21611, "try_later"),
    (400, 21730, "try_later"),
    (503, 21730, "try_later"),
    (503, 20503, "server_error"),
]
"""Codes of requests that Twilio did not process."""
ENDED = [
    ("failed", 30008, "rejected"),
    ("undelivered", 30007, "forbidden"),
    ("canceled", None, "rejected"),
    ("failed", 63016, "outside_window"),
]
"""A message that had ended badly when it was answered for."""

TEXT = (
    "CRITICAL: CPU of db1 above 95 %\ncpu_usage is 97.3 %\nhost: db1, limit: 95, primary: true\n"
    "firing since 2026-11-25 02:41 UTC\nhttps://grafana.example.com/d/cpu?var-host=db1&from=now-1h"
)
SID = "SM" + "0" * 32
TAKEN = delivered(201, {"sid": SID, "status": "queued", "error_code": None})


def account(number: int) -> str:
    """Of each destination one: Twilio's address is the trigger's."""
    return f"AC{number:032}"


def form(prefix: str, text: str) -> bytes:
    """The messages that arrive for a text."""
    numbers = [quote_plus(prefix + number) for number in ("+15558675310", "+15017122661")]
    return "To={}&From={}&Body={}".format(*numbers, quote_plus(text)).encode()


def channel(sender: str, prefix: str) -> ChannelSpec:
    """The one or the other: they differ by the numbers' prefix."""
    return ChannelSpec(
        sender,
        own_tests=("twilio_account_sid", "content_sid", "content_variables"),
        destination=lambda _, number: {
            "twilio_sid": account(number),
            "twilio_token": "secret",
            "twilio_from_number": "+15017122661",
            "twilio_to_number": "+15558675310",
        },
        path="",
        path_of_number=lambda number: f"/2010-04-01/Accounts/{account(number)}/Messages.json",
        plain=form(prefix, "hi"),
        rich=form(prefix, TEXT),
        headers={
            "content-type": "application/x-www-form-urlencoded",
            "authorization": "Basic " + re.escape(base64.b64encode(b"AC").decode()[:2]) + ".*",
        },
        success=TAKEN,
        replies=[
            TAKEN,
            Reply(401, {"code": 20003, "message": "Authenticate"}, reason="unauthorized", detail="Twilio 20003: Auth"),
            *(
                Reply(
                    400,
                    {"code": code, "message": "words"},
                    reason=reason,
                    detail=f"Twilio {code}: words",
                    hint=HINTS.get(code, ""),
                )
                for code, reason in CODES.items()
            ),
            *(Reply(status, {"code": code, "message": "later"}, reason=reason) for status, code, reason in LATER),
            *(
                Reply(201, {"sid": SID, "status": status, "error_code": code, "error_message": None}, reason=reason)
                for status, code, reason in ENDED
            ),
            Reply(500, {"code": 20500, "message": "words"}, "ambiguous", "lost_reply"),
        ],
        invalid_values=[
            InvalidValue("twilio_sid", "AC/../x", "twilio_sid must be letters and digits only"),
            InvalidValue("twilio_to_number", "+" + "1" * 64, "twilio_to_number is longer than 64 characters"),
        ],
    )


CHANNELS = [channel("sms", ""), channel("whatsapp", "whatsapp:")]
