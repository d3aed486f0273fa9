"""A provider's JSON: exact numbers, and texts that Postgres can store."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shared.providers.decoding import decode


def test_numbers_keep_their_digits() -> None:
    answered = decode(b'{"a": 0.12345678901234567890123, "b": 12, "c": 0E-6176, "d": 1e2, "e": -0.0}')
    assert answered == {
        "a": Decimal("0.12345678901234567890123"),
        "b": 12,
        "c": Decimal("0E-6176"),
        "d": Decimal("1e2"),
        "e": Decimal("-0.0"),
    }
    assert [type(value) for value in answered.values()] == [Decimal, int, Decimal, Decimal, Decimal]


def test_texts_that_can_be_stored_pass() -> None:
    assert decode(b'\xef\xbb\xbf["\\ud83d\\ude00", "\\\\u0000", "\\ud7ff"]') == ["\U0001f600", "\\u0000", "\ud7ff"]


@pytest.mark.parametrize(
    "content",
    [
        b'["\\u0000"]',
        b'[{"\\u0000": 1}]',
        b'["\\ud83d"]',
        b'[[["\\uDe00"]]]',
        b'["\xed\xa0\x80"]',
        b"[1e99999]",
        b"[1e-99999]",
        b"[1e99999999999999999999]",
        b"[0." + b"1" * 2_000 + b"]",
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"\xff",
    ],
)
def test_what_cannot_be_stored_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, ArithmeticError)) as caught:
        decode(content)
    assert len(str(caught.value)) < 200
