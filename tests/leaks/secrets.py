"""Unique secrets that a search can find."""

import itertools
import re

MARKED = re.compile(r"[Qq][Zz]\d{4}")
"""The beginning of every secret, or of its sensitive part. No other text contains it."""

NUMBERS = itertools.count(1)
"""The numbers of secrets and paths, which make them unique."""


def new_secret() -> str:
    """A new secret with characters that every encoding escapes."""
    return f"Qz{next(NUMBERS):04}s3cr3tM4rk&<\"/+'x"


def new_word() -> str:
    """A secret of letters and digits alone."""
    return f"Qz{next(NUMBERS):04}s3cr3tM4rk"


def new_account() -> str:
    """A Twilio account id."""
    return "ACQz" + f"{next(NUMBERS):04}" + "5ecre7" * 4


def new_api_key() -> str:
    """A Twilio API key id."""
    return "SK" + new_word()


def new_service() -> str:
    """A Twilio messaging service id. The search looks for its hexadecimal digits."""
    return f"MG{next(NUMBERS):04}" + "5ec4e70" * 4


def new_number() -> str:
    """A telephone number. The search looks for its digits."""
    return f"+1{9870000000 + next(NUMBERS)}"


def new_mailbox() -> str:
    """A mail address."""
    return f"{new_word()}@example.com"
