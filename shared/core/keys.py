"""API keys: how one is written, how a forged one is known without asking anybody, and when a stored one counts.

    act_ 7k2m9x4c1p8r  3fq0v6n2t5w8y1zbdhjmkgsace4r7x9p  q2w8n5v1c7x3k9m4
    |    |             |                                 `-- tag, 16 characters: HMAC of all before it
    |    |             `-- secret, 32 characters (160 bits), shown once and stored nowhere
    |    `-- id, 12 characters: names the stored row, and the key in lists
    `-- prefix: readable, and what scanners for leaked keys look for

Without the spaces these are 64 characters, all of an alphabet that has neither `i`, `l`, `o` nor `u`. The tag proves
that the pepper's owner made the key: noise is refused by arithmetic alone. What is stored is another HMAC under the
same pepper, so that neither a copy of the table nor a tag helps anybody to a key. Randomness and pepper are arguments.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

PREFIX = "act_"
ID_LENGTH, SECRET_LENGTH, TAG_LENGTH = 12, 32, 16  # characters
LENGTH = len(PREFIX) + ID_LENGTH + SECRET_LENGTH + TAG_LENGTH
ENTROPY_BYTES = ID_LENGTH + SECRET_LENGTH

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_CHARACTER = f"[{_ALPHABET}]"
_ID = re.compile(f"{_CHARACTER}{{{ID_LENGTH}}}")
_KEY = re.compile(
    f"{PREFIX}(?P<id>{_ID.pattern})(?P<secret>{_CHARACTER}{{{SECRET_LENGTH}}})(?P<tag>{_CHARACTER}{{{TAG_LENGTH}}})"
)
# Each use of the pepper has a name of its own: a stored digest must not begin with a valid tag.
_TAG, _DIGEST = b"tag\x00", b"digest\x00"
_HINT_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Key:
    """A key in the hand of its owner; its `repr` has no secret."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What is kept of a key. Instants are UTC; `digest` is the peppered HMAC of id and secret, 32 bytes."""

    id: str
    name: str
    scopes: tuple[str, ...]
    digest: bytes = field(repr=False)
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_active(self, now: datetime) -> bool:
        """Tell whether it counts at an instant; `revoked_at` may be in the future, after a rotation with overlap."""
        return all(end is None or now < end for end in (self.expires_at, self.revoked_at))

    def belongs_to(self, key: Key, pepper: str) -> bool:
        """Tell, in constant time, whether a key is the one this was stored for."""
        return hmac.compare_digest(self.digest, digest(key, pepper))


def mint(entropy: bytes) -> Key:
    """Return the key that `ENTROPY_BYTES` random bytes stand for.

    Raises:
        ValueError: another number of bytes.
    """
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a key takes {ENTROPY_BYTES} random bytes, not {len(entropy)}")
    text = _spell(entropy)
    return Key(text[:ID_LENGTH], text[ID_LENGTH:])


def write(key: Key, pepper: str) -> str:
    """Return a key as its owner gets it, tag included."""
    signed = PREFIX + key.id + key.secret
    return signed + _tag(signed, pepper)


def read(text: str, pepper: str) -> Key | None:
    """Return the key that a text is, None where it is not one of ours. The tag is compared in constant time."""
    match = _KEY.fullmatch(text)
    if match is None or not hmac.compare_digest(match["tag"], _tag(text[:-TAG_LENGTH], pepper)):
        return None
    return Key(match["id"], match["secret"])


def digest(key: Key, pepper: str) -> bytes:
    """Return what is stored of a key: 32 bytes from which it cannot be had."""
    return _hmac(_DIGEST, key.id + key.secret, pepper)


def read_id(text: str) -> str | None:
    """Return the id that a text is, with or without the prefix, None where it cannot be one."""
    found = text.removeprefix(PREFIX)
    return found if _ID.fullmatch(found) else None


def hint(key_id: str) -> str:
    """Return the end of an id as it is recognised in a list: `act_...1p8r`."""
    return f"{PREFIX}...{key_id[-_HINT_LENGTH:]}"


def _tag(signed: str, pepper: str) -> str:
    return _spell(_hmac(_TAG, signed, pepper)[:TAG_LENGTH])


def _hmac(use: bytes, text: str, pepper: str) -> bytes:
    return hmac.digest(pepper.encode(), use + text.encode(), hashlib.sha256)


def _spell(data: bytes) -> str:
    # 256 is a multiple of 32: every character is equally likely.
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in data)
