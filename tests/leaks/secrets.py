"""Secrets that can be found again."""

import itertools
import re

MARKED = re.compile(r"[Qq][Zz]\d{4}")
"""With this every secret begins, or a part of it that would tell something; nothing else does."""

NUMBERS = itertools.count(1)
"""Of secrets and of paths, so that none is there twice."""


def new_secret() -> str:
    """A secret that nobody has had, with characters that every notation escapes."""
    return f"Qz{next(NUMBERS):04}s3cr3tM4rk&<\"/+'x"


def new_word() -> str:
    """A secret of letters and digits alone."""
    return f"Qz{next(NUMBERS):04}s3cr3tM4rk"


def new_account() -> str:
    """As Twilio names accounts."""
    return "ACQz" + f"{next(NUMBERS):04}" + "5ecre7" * 4


def new_api_key() -> str:
    """As Twilio names API keys."""
    return "SK" + new_word()


def new_service() -> str:
    """As Twilio names messaging services: its hexadecimal digits are searched for."""
    return f"MG{next(NUMBERS):04}" + "5ec4e70" * 4


def new_number() -> str:
    """A telephone number; its digits are searched for."""
    return f"+1{9870000000 + next(NUMBERS)}"


def new_mailbox() -> str:
    """A mail address."""
    return f"{new_word()}@example.com"
