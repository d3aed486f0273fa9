"""The fields of a usage event, and what is left of them when they have been read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from shared.core.conventions import ALIASES, OPENAI, EventError
from shared.core.labels import check_label
from shared.core.naming import provider_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

# Our names of the counts, in the order of `Usage`'s fields.
COUNTS = (
    "tokens_in", "tokens_out", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens",
    "audio_input_tokens", "audio_output_tokens", "image_input_tokens", "image_output_tokens", "web_searches",
    "requests",
)  # fmt: skip
# Texts that rows of a batch share, with the most UTF-8 bytes each may have: what was called, and what for. Eight of
# them are one key of the roll-up, and Postgres indexes at most 2,704 bytes.
CALL = {
    "model": 300, "provider": 300, "account": 300, "service_tier": 100, "speed": 100, "inference_geo": 100,
}  # fmt: skip
PURPOSE = {
    "project": 300, "agent": 300, "user": 300, "session_label": 1500, "session_type": 300, "category": 300,
    "request_type": 300,
}  # fmt: skip
WORDS = CALL | PURPOSE
OTHERS = ("batch", "cost", "description", "tags", "metadata", "recorded_at", "event_id")
KNOWN = (*COUNTS, *WORDS, *OTHERS, *ALIASES, *OPENAI, "usage")


class Call:
    """What was called and under which terms: texts stripped, None where there are none; one object per set of texts.

    `provider` is one of our ids or the sender's word in lower case. `digest` is equal for equal texts.
    """

    __slots__ = (*CALL, "batch", "digest")

    model: str
    provider: str | None
    account: str | None
    service_tier: str | None
    speed: str | None
    inference_geo: str | None
    batch: bool
    digest: str

    def __init__(self, given: Mapping[str, object]) -> None:
        found = {name: check_label(name, given.get(name), most) for name, most in CALL.items()}
        if found["model"] is None:
            raise EventError("model", "Add model: the id that was called, such as claude-sonnet-4-5.")
        if found["provider"] is not None:
            found["provider"] = provider_id(found["provider"])
        batch = given.get("batch")
        # 1 and true are equal, so whoever remembers one by its value takes the other for it.
        if batch is not None and (not isinstance(batch, int) or batch not in {0, 1}):
            raise EventError("batch", "batch must be true or false.")
        for name, text in found.items():
            setattr(self, name, text)
        self.batch = bool(batch)
        self.digest = json.dumps([*found.values(), self.batch])


class Purpose:
    """What a call was for and on whose behalf: texts as in `Call`."""

    __slots__ = (*PURPOSE, "digest")

    project: str | None
    agent: str | None
    user: str | None
    session_label: str | None
    session_type: str | None
    category: str | None
    request_type: str | None
    digest: str

    def __init__(self, given: Mapping[str, object]) -> None:
        found = {name: check_label(name, given.get(name), most) for name, most in PURPOSE.items()}
        for name, text in found.items():
            setattr(self, name, text)
        self.digest = json.dumps([*found.values()])


class Event(NamedTuple):
    """One row that can be stored.

    `counts` are in the order of `Usage`'s fields. `at` is UTC, the arrival where none was sent; `at_text` is the same
    for Postgres, beginning `YYYY-MM-DDTHH:`. `key` and `payload` are 128-bit digests in hex of the id and of everything
    that was sent, None without an id. `tags` and `metadata` are JSON text.
    """

    call: Call
    purpose: Purpose
    counts: tuple[int, ...]
    at: datetime
    at_text: str
    cost: Decimal | None
    description: str | None
    tags: str | None
    metadata: str | None
    event_id: str | None
    key: str | None
    payload: str | None
