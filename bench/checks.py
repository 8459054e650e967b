"""What must hold before a figure is reported: a benchmark of messages that did not arrive measures nothing."""


class RefusedError(Exception):
    """A measurement that may not be reported; its text says what was measured and what was wrong."""


def check_answers(what: str, contender: str, expected: int, delivered: list[int]) -> None:
    """Each call's answer must say that every one of its messages was delivered.

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
    """The sink must have seen as many messages as were sent."""
    if arrived != expected:
        raise RefusedError(
            f"{what}: {contender} sent {expected} messages and the sink saw {arrived}: nothing of this run is reported"
        )


def check_same_bytes(what: str, contender: str, expected: int, arrived: int) -> None:
    """The bodies must be those that the others sent, to the byte."""
    if arrived != expected:
        raise RefusedError(
            f"{what}: {contender} sent bodies of {arrived} bytes in all, the same messages have {expected}: "
            "the contenders did not do the same work"
        )
