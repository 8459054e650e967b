"""Checks before a figure is reported: all messages must have arrived."""


class RefusedError(Exception):
    """An invalid measurement. The text names the measurement and the error."""


def check_answers(what: str, contender: str, expected: int, delivered: list[int]) -> None:
    """Every call must report that all its messages were delivered.

    :param what: the row that is measured.
    :param expected: messages a call.
    :param delivered: how many each call's answer calls delivered.
    """
    bad = [count for count in delivered if count != expected]
    if bad:
        raise RefusedError(
            f"{what}: {contender} delivered {bad[0]} of {expected} messages in {len(bad)} of {len(delivered)} calls: "
            "answers that are no successes are not measured"
        )


def check_arrivals(what: str, contender: str, expected: int, arrived: int) -> None:
    """The sink must have received all messages."""
    if arrived != expected:
        raise RefusedError(
            f"{what}: {contender} sent {expected} messages and the sink saw {arrived}: nothing of this run is reported"
        )


def check_same_bytes(what: str, contender: str, expected: int, arrived: int) -> None:
    """The bodies must be equal to the other contenders'."""
    if arrived != expected:
        raise RefusedError(
            f"{what}: {contender} sent bodies of {arrived} bytes in all, the same messages have {expected}: "
            "the contenders did not do the same work"
        )
