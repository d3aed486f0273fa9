"""The format of a key: what is random, what proves it, what is stored, and that none of it is shown by accident."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import keys

PEPPER = "pepper-of-the-tests"
NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
ENTROPY = st.binary(min_size=keys.ENTROPY_BYTES, max_size=keys.ENTROPY_BYTES)
KEY = keys.mint(bytes(range(keys.ENTROPY_BYTES)))


def test_the_format_stays_as_it_is() -> None:
    # Every key in use depends on these.
    assert keys.write(KEY, PEPPER) == "act_0123456789abcdefghjkmnpqrstvwxyz0123456789ab" + "v0jj0mag7fgnccgt"
    assert keys.digest(KEY, PEPPER).hex().startswith("c74f55f3e4106db9")
    assert keys.LENGTH == 64


@given(ENTROPY)
def test_what_is_written_is_read_again(entropy: bytes) -> None:
    key = keys.mint(entropy)
    text = keys.write(key, PEPPER)
    assert len(text) == keys.LENGTH
    assert not set(text[len(keys.PREFIX) :]) & set("ilou_-ILOU")
    assert keys.read(text, PEPPER) == key
    assert keys.read(text, PEPPER + "x") is None


@given(ENTROPY, st.integers(0, keys.LENGTH - 1), st.characters())
def test_a_key_with_any_character_changed_is_forged(entropy: bytes, position: int, other: str) -> None:
    text = keys.write(keys.mint(entropy), PEPPER)
    forged = text[:position] + other + text[position + 1 :]
    assert (keys.read(forged, PEPPER) is None) == (forged != text)


@given(st.text(max_size=80))
def test_any_other_text_is_no_key(text: str) -> None:
    assert keys.read(text, PEPPER) is None


@pytest.mark.parametrize("change", [" {}", "{} ", "{}\n", "{}0", "\ud800{}", "{}\x00"])
def test_nothing_may_surround_a_key(change: str) -> None:
    assert keys.read(change.format(keys.write(KEY, PEPPER)), PEPPER) is None


@given(ENTROPY)
def test_a_digest_gives_no_tag_away(entropy: bytes) -> None:
    key = keys.mint(entropy)
    tag = keys.write(key, PEPPER)[-keys.TAG_LENGTH :]
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    assert "".join(alphabet[byte % 32] for byte in keys.digest(key, PEPPER)[: keys.TAG_LENGTH]) != tag


def test_a_stored_key_belongs_to_its_own_key_only() -> None:
    stored = keys.StoredKey(KEY.id, "N8N", ("admin",), keys.digest(KEY, PEPPER))
    assert stored.belongs_to(KEY, PEPPER)
    assert not stored.belongs_to(KEY, "another pepper")
    assert not stored.belongs_to(keys.mint(bytes(keys.ENTROPY_BYTES)), PEPPER)


def test_a_key_ends_at_the_earlier_of_its_ends_and_not_before() -> None:
    soon, later = NOW + timedelta(seconds=1), NOW + timedelta(hours=1)
    for expires_at, revoked_at in ((soon, None), (None, soon), (soon, later), (later, soon)):
        stored = keys.StoredKey(KEY.id, "N8N", ("admin",), b"", expires_at, revoked_at)
        assert stored.is_active(NOW)
        assert stored.is_active(soon - timedelta(microseconds=1))
        assert not stored.is_active(soon)
    assert keys.StoredKey(KEY.id, "N8N", ("admin",), b"").is_active(NOW)


def test_a_repr_has_no_secret() -> None:
    stored = keys.StoredKey(KEY.id, "N8N", ("admin",), keys.digest(KEY, PEPPER))
    shown = f"{KEY!r} {stored!r}"
    assert KEY.id in shown
    assert KEY.secret not in shown
    assert repr(stored.digest) not in shown


def test_a_key_takes_its_whole_entropy() -> None:
    for size in (0, keys.ENTROPY_BYTES - 1, keys.ENTROPY_BYTES + 1):
        with pytest.raises(ValueError, match=f"{keys.ENTROPY_BYTES} random bytes"):
            keys.mint(bytes(size))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0123456789ab", "0123456789ab"),
        ("act_0123456789ab", "0123456789ab"),
        ("0123456789a", None),
        ("0123456789abc", None),
        ("0123456789aI", None),
        ("", None),
        (keys.write(KEY, PEPPER), None),
    ],
)
def test_ids_are_recognised_with_and_without_prefix(text: str, expected: str | None) -> None:
    assert keys.read_id(text) == expected


def test_the_hint_is_the_end_of_the_id() -> None:
    assert keys.hint("0123456789ab") == "act_...89ab"
