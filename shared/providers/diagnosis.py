"""What is wrong with a credential, in one sentence, from its looks and from what the provider said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import (
    CredentialError,
    MalformedResponseError,
    ProviderUnavailableError,
    SettingError,
    UnreadableCredentialError,
    WrongKindError,
)

if TYPE_CHECKING:
    from shared.errors import CostTrackerError
    from shared.providers.spec import ProviderSpec

WRONG_KIND, MISSING_PERMISSION, PERSONAL, EXPIRED, UNKNOWN_KEY, NETWORK, UNREADABLE, OTHER = CODES = (
    "wrong_kind", "missing_permission", "personal_account", "expired", "unknown_key", "network", "unreadable", "other",
)  # fmt: skip
_FORBIDDEN, _NOT_FOUND = 403, 404
_EXPIRED = re.compile(r"\bexpired?\b", re.IGNORECASE)
_PERSONAL = re.compile(r"\b(?:individual|personal)\b(?! access token)", re.IGNORECASE)
_NEXT_RUN = "; the next run asks again."


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One of `CODES`, the sentence that says what is wrong, and one that says what is needed instead (or is empty)."""

    code: str
    message: str
    advice: str = ""


def diagnose(spec: ProviderSpec, key: str, error: CostTrackerError) -> Diagnosis:
    """Say why `error` came of asking a provider whom the credential `key` belongs to; the key is not repeated."""
    match error:
        case CredentialError():
            return _refused(spec, key, error)
        case ProviderUnavailableError():
            return Diagnosis(NETWORK, str(error).replace(_NEXT_RUN, "; test it again in a while."))
        case UnreadableCredentialError():
            return Diagnosis(UNREADABLE, str(error))
        case MalformedResponseError():
            said = f"What answers at {spec.title}'s address is not {spec.title}; check base_url."
            return Diagnosis(NETWORK, said)
        case SettingError():
            return Diagnosis(OTHER, str(error))
    return Diagnosis(OTHER, str(error), spec.key_needed)


def _refused(spec: ProviderSpec, key: str, error: CredentialError) -> Diagnosis:
    kind = next((kind.is_what for kind in spec.wrong_keys if key.startswith(kind.prefix)), None)
    if isinstance(error, WrongKindError):
        kind = error.is_what
    if kind is not None:
        return Diagnosis(WRONG_KIND, f"This is {kind}, which cannot read {spec.title}'s reports.", spec.key_needed)
    quoted = f" ({error.said})" if error.said else ""
    if error.status in {None, _NOT_FOUND}:  # it was never sent; or what it asked for is hidden from it, or not there
        return Diagnosis(UNKNOWN_KEY if error.status is None else MISSING_PERMISSION, str(error))
    if _EXPIRED.search(error.said):
        return Diagnosis(EXPIRED, f"{spec.title} says that this key has expired{quoted}.", spec.key_needed)
    if _PERSONAL.search(error.said):
        return Diagnosis(PERSONAL, f"{spec.title} has no reports for personal accounts{quoted}.", spec.key_needed)
    if error.status == _FORBIDDEN:
        said = f"{spec.title} knows this key but does not let it read usage{quoted}."
        return Diagnosis(MISSING_PERMISSION, said, spec.key_needed)
    said = f"{spec.title} does not know this key{quoted}: it was mistyped, revoked, or belongs to somebody else."
    return Diagnosis(UNKNOWN_KEY, said, spec.key_needed)
