"""Event ids that senders without any of their own are given: what a source calls a thing, short enough to be kept."""

from __future__ import annotations

from hashlib import blake2b

_LONGEST = 200


def digest(text: str, size: int = 16) -> bytes:
    """Return a hash of an id; empty for the empty text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest() if text else b""


def short(text: str) -> str:
    """Return an id that fits into an event id: itself, or where it is long its beginning and its hash."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}-{digest(text).hex()}"
