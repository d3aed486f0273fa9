"""Every error we raise on purpose. Each message is one sentence that says what the reader should do.

CostTrackerError
├── SettingError           a setting is missing or malformed
├── InvalidInputError      the caller sent something we refuse (400)
├── NotFoundError          no such thing (404)
├── ConflictError          it contradicts what is stored (409)
├── DatabaseUnavailableError  Postgres did not answer in time (503)
│   └── PasswordRefusedError  Postgres refused the password; a rotated one was asked for (shared/store/database.py)
├── MigrationError         the schema cannot be brought up to date
├── SupersededError        another run took this account over
└── ProviderError          a provider's API did not give us what we asked for
    ├── CredentialError    401, 403 or the wrong kind of key; retrying will not help
    │   └── WrongKindError the provider knows the key, and says that it is of another kind
    ├── ProviderUnavailableError  still 429, 5xx or unreachable after the retries
    ├── UnreadableCredentialError a stored credential cannot be decrypted; store it again
    ├── MalformedResponseError    the answer is not what the provider documents
    └── CursorRefusedError        a page token is no longer valid; start the window again
"""

from __future__ import annotations


class CostTrackerError(Exception):
    """Base of every error raised on purpose."""


class SettingError(CostTrackerError):
    """Correct the setting that the message names and start again."""


class InvalidInputError(CostTrackerError):
    """Correct the field or parameter that the message names."""

    def __init__(self, message: str, details: list[dict[str, str]] | None = None) -> None:
        """Take the sentence for the caller and, per field, `{"field", "message"}`."""
        super().__init__(message)
        self.details = details or []


class NotFoundError(CostTrackerError):
    """Check the id or path that the message names."""


class ConflictError(CostTrackerError):
    """Decide which of the two versions is right; the first one was kept."""


class DatabaseUnavailableError(CostTrackerError):
    """Try again in a few seconds; nothing was lost."""


class MigrationError(CostTrackerError):
    """Read the message, mend the migration or the database, and migrate again."""


class SupersededError(CostTrackerError):
    """Nothing to do: a newer run continues this account."""


class ProviderError(CostTrackerError):
    """Read the message; the account keeps its last good figures."""


class CredentialError(ProviderError):
    """Replace the key or its permissions; the provider refused it.

    `status` is the HTTP status it answered with, None where nothing was sent; `said` its own words, without the key.
    """

    def __init__(self, message: str, status: int | None = None, said: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.said = said


class WrongKindError(CredentialError):
    """Take a key of the kind that the message asks for; `is_what` goes into "This is ..."."""

    def __init__(self, message: str, is_what: str) -> None:
        super().__init__(message)
        self.is_what = is_what


class UnreadableCredentialError(ProviderError):
    """Store the credential again, or bring the key back that it was encrypted with."""


class ProviderUnavailableError(ProviderError):
    """Wait; the next run fetches the same window again."""


class MalformedResponseError(ProviderError):
    """Report it: the provider's answer does not have the documented shape."""


class TooLargeError(MalformedResponseError):
    """Ask for less at once, or report it: the provider's answer has more bytes than are read."""


class CursorRefusedError(ProviderError):
    """Read the window again from its first page."""
