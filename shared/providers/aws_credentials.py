"""What opens AWS: the keys of a user or role, or those that the machine has anyway. They are never shown again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from shared.errors import CredentialError

AMBIENT = "ambient"

# The keys of users begin with AKIA, those that expire with ASIA (IAM User Guide, "IAM identifiers", unique ids).
_KEY_ID = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,124}")
_EXPIRES = "ASIA"
_SECRET = re.compile(r"[!-9;-~]{16,200}")
_TOKEN = re.compile(r"[!-9;-~]{16,8000}")


@dataclass(frozen=True, slots=True)
class Credential:
    """A pair of keys, with the token that belongs to it if it expires."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    def hidden(self, text: str) -> str:
        """Return a text without anything of this credential."""
        for part in (self.secret, self.token, self.key_id):
            text = text.replace(part, "[key]") if part else text
        return text


def read_credential(text: str, needed: str) -> Credential | None:
    """Return the keys of `ACCESS_KEY_ID:SECRET_ACCESS_KEY` or `...:SESSION_TOKEN`; None for `ambient`.

    Raises:
        CredentialError: it is none of these; `needed` ends the sentence. What was given is not quoted.
    """
    if text == AMBIENT:
        return None
    key_id, _, rest = text.partition(":")
    secret, _, token = rest.partition(":")
    if not _KEY_ID.fullmatch(key_id) or not _SECRET.fullmatch(secret) or (token and not _TOKEN.fullmatch(token)):
        raise CredentialError(f"This is not ACCESS_KEY_ID:SECRET_ACCESS_KEY. {needed}")
    if key_id.startswith(_EXPIRES) and not token:
        raise CredentialError(f"An access key that begins with {_EXPIRES} needs its session token as well. {needed}")
    return Credential(key_id, secret, token or None)
