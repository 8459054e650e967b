"""The tokens of a server. A server without ``--without-auth`` requires a token with every request."""

import secrets
from base64 import b64decode
from binascii import Error

PREFIX = "apiv3_"


class Tokens:
    """The operator token of one server. Before it is created, the server rejects every request."""

    def __init__(self) -> None:
        self.operator: str | None = None

    def create_operator(self) -> str | None:
        """The first admin token; None: it was created before."""
        if self.operator is not None:
            return None
        self.operator = PREFIX + secrets.token_urlsafe(64)
        return self.operator

    def admit(self, authorization: str | None) -> bool:
        """Whether a request with this ``Authorization`` is authenticated: ``Bearer``, ``Token``, or ``Basic``.

        With ``Basic`` the password is the token, and the user name is ignored.
        """
        scheme, _, credentials = (authorization or "").strip().partition(" ")
        given = credentials.strip()
        if scheme.lower() == "basic":
            try:
                given = b64decode(given, validate=True).decode().partition(":")[2]
            except (Error, UnicodeDecodeError):
                return False
        elif scheme.lower() not in ("bearer", "token"):
            return False
        return self.operator is not None and secrets.compare_digest(given.encode(), self.operator.encode())


def bearer(token: str | None) -> dict[str, str]:
    """The authentication header, if the server requires a token."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}
