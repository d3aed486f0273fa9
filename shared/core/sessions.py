"""What kind of session a line came from: main, subagent, heartbeat, cron and the rest of OpenClaw's grammar."""

from __future__ import annotations

MAIN = "main"
SUBAGENT = "subagent"
HEARTBEAT = "heartbeat"
OTHER = "other"

# What may follow `agent:<id>:`, most specific first; a word only counts when an id follows it.
_ANYWHERE = (("subagent", SUBAGENT),)
_LEADING = {"cron": "cron", "acp": "acp", "hook": "hook", "explicit": "explicit", "dashboard": "dashboard"}
_CHAT = {"group": "group", "channel": "group", "room": "group", "direct": "direct", "dm": "direct"}
_BARE = {"cron": "cron", "hook": "hook", "node": OTHER}
_WHOLE = {"global": OTHER, "unknown": OTHER}


def session_type(explicit: str | None, label: str | None, key_name: str | None, *, polled: bool) -> str:
    """Return the session type of a line.

    An explicit one wins (in lower case). Then anything whose label or key name contains `heartbeat` is a heartbeat,
    and OpenClaw session keys follow their grammar. Of the rest, events are `main` without a label or with the label
    `main` and `subagent` otherwise; polled rows are `main` unless the key's name contains `subagent`.
    """
    if explicit and explicit.strip():
        return explicit.strip().lower()
    label, key_name = (label or "").strip().lower(), (key_name or "").lower()
    if HEARTBEAT in label or HEARTBEAT in key_name:
        return HEARTBEAT
    grammatical = openclaw_type(label)
    if grammatical is not None:
        return grammatical
    if polled:
        return SUBAGENT if SUBAGENT in key_name else MAIN
    return MAIN if label in {"", MAIN} else SUBAGENT


def openclaw_type(key: str) -> str | None:
    """Return the type of an OpenClaw session key in lower case, or None if the text is not such a key.

    `main`, `direct`, `group`, `subagent`, `cron`, `heartbeat`, `hook`, `acp`, `explicit`, `dashboard` or `other`.
    """
    head, *rest = key.split(":")
    if not rest:
        return _WHOLE.get(key)
    if head != "agent":
        return _BARE.get(head)
    if len(rest) < 2:  # noqa: PLR2004 - `agent:<id>` alone is not a session
        return None
    return _agent_type(rest[1:])


def _agent_type(parts: list[str]) -> str:
    """Return the type of what follows `agent:<id>:`."""
    leading, last = parts[0], parts[-1]
    if last == HEARTBEAT:
        return HEARTBEAT
    # The last part is an id, whatever it spells: a person called `group` writes direct messages.
    for word, kind in _ANYWHERE:
        if word in parts[:-1]:
            return kind
    if leading in _LEADING and len(parts) > 1:
        return _LEADING[leading]
    for word in parts[1:-1]:
        if word in _CHAT:
            return _CHAT[word]
    return MAIN if leading == MAIN else OTHER
