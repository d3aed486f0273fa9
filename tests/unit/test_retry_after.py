"""How long a server asks to wait."""

from __future__ import annotations

import pytest

from shared.core.retry_after import LONGEST_SECONDS, seconds_to_wait
from tests.fixtures.providers.wire import NOW  # 2026-03-04 12:00 UTC


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3),
        (" 3 ", 3),
        ("0.5", 0.5),
        ("Wed, 04 Mar 2026 12:00:09 GMT", 9),
        ("Wed, 04 Mar 2026 12:00:09 -0000", 9),
        ("Wed, 04 Mar 2026 14:00:09 +0200", 9),
        ("999999999", LONGEST_SECONDS),
        ("9" * 400, LONGEST_SECONDS),
        ("Fri, 06 Mar 2026 12:00:00 GMT", LONGEST_SECONDS),
        # Nothing to go by.
        ("Wed, 04 Mar 2026 11:00:00 GMT", None),
        ("0", None),
        ("-5", None),
        ("٣", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Wed, 99 Mar 2026 12:00:09 GMT", None),
    ],
)
def test_a_wait_is_read(header: str, seconds: float | None) -> None:
    assert seconds_to_wait(header, NOW) == seconds
