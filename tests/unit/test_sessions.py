from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.sessions import openclaw_type, session_type

UUID = "0b6f3c1e-8a54-4f0e-9a57-2a1f6d6f2c11"


@pytest.mark.parametrize(
    ("explicit", "label", "key_name", "polled", "expected"),
    [
        # explicit wins over everything
        ("Cron", "heartbeat", "heartbeat", False, "cron"),
        (" review ", None, None, True, "review"),
        ("", "agent:x:main", None, False, "main"),
        # heartbeat anywhere
        (None, "nightly-HEARTBEAT-check", None, False, "heartbeat"),
        (None, f"agent:x:subagent:{UUID}:heartbeat", None, False, "heartbeat"),
        (None, None, "openclaw-heartbeat-key", True, "heartbeat"),
        # events
        (None, None, None, False, "main"),
        (None, "", None, False, "main"),
        (None, "Main", None, False, "main"),
        (None, "peakpaws-listing", None, False, "subagent"),
        (None, None, "subagent-key", False, "main"),
        # polled rows
        (None, None, None, True, "main"),
        (None, None, "prod-key", True, "main"),
        (None, None, "Subagent-key", True, "subagent"),
        # OpenClaw keys, whatever the source
        (None, f"agent:x:subagent:{UUID}", None, False, "subagent"),
        (None, "agent:x:main", "subagent-key", True, "main"),
        (None, "cron:nightly", None, False, "cron"),
    ],
)
def test_session_types(
    explicit: str | None,
    label: str | None,
    key_name: str | None,
    polled: bool,  # noqa: FBT001 - a column
    expected: str,
) -> None:
    assert session_type(explicit, label, key_name, polled=polled) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("agent:x:main", "main"),
        ("agent:x:main:thread:7", "main"),
        ("agent:subagent:main", "main"),
        ("agent:x:telegram:direct:4711", "direct"),
        ("agent:x:whatsapp:work:dm:4711", "direct"),
        ("agent:x:telegram:direct:group", "direct"),
        ("agent:x:telegram:group:-100", "group"),
        ("agent:x:discord:channel:1:thread:2", "group"),
        ("agent:x:matrix:work:room:r1:topic:9", "group"),
        (f"agent:x:subagent:{UUID}", "subagent"),
        (f"agent:x:subagent:{UUID}:subagent:{UUID}", "subagent"),
        (f"agent:x:cron:job:run:1:subagent:{UUID}", "subagent"),
        ("cron:nightly", "cron"),
        ("agent:x:cron:nightly", "cron"),
        ("agent:x:cron:nightly:run:42", "cron"),
        ("agent:x:main:heartbeat", "heartbeat"),
        (f"hook:{UUID}", "hook"),
        (f"agent:x:hook:{UUID}", "hook"),
        (f"agent:x:acp:{UUID}", "acp"),
        (f"agent:x:explicit:model-run-{UUID}", "explicit"),
        ("agent:x:dashboard:home", "dashboard"),
        ("agent:x:something", "other"),
        ("node:abc", "other"),
        ("global", "other"),
        ("unknown", "other"),
        ("agent:x", None),
        ("peakpaws-listing", None),
        ("project:peakpaws", None),
        ("", None),
    ],
)
def test_openclaw_keys(key: str, expected: str | None) -> None:
    assert openclaw_type(key) == expected


@given(st.text("agentsubmincro:- ", max_size=40), st.text(max_size=10), st.booleans())
def test_every_line_has_a_type(label: str, key_name: str, polled: bool) -> None:  # noqa: FBT001 - drawn
    assert session_type(None, label, key_name, polled=polled)
