"""Settings kept as SSM parameters: fetched together, remembered five minutes, asked for again when one is refused."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from functions.logs import logger
from shared.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.parameters import SSMProvider

# A changed parameter is noticed this late, unless it is the database's password: that is asked for when refused.
MAX_AGE_SECONDS = 300
# While SSM does not answer, requests go on with what is known and do not all wait for it.
_PAUSE_SECONDS = 30
# The clients' own limits (60 s, five times) are longer than a request lives.
_CONNECT_SECONDS = 2
_READ_SECONDS = 4


class Parameters:
    """The parameters under `prefix`, `/ai-cost-tracker/<stage>/`, each named as its setting: `API_KEY`.

    Without a prefix there are none, and the SDK is not even imported. Safe to share between threads.
    """

    def __init__(self, prefix: str, max_age: int = MAX_AGE_SECONDS) -> None:
        """`max_age` is how many seconds values are taken for current."""
        self._prefix = prefix.rstrip("/")
        self._max_age = max_age
        self._provider: SSMProvider | None = None
        self._last: dict[str, str] | None = None
        self._paused_until = 0.0
        self._lock = threading.Lock()

    def fetch(self, *, fresh: bool = False) -> Mapping[str, str]:
        """Return name -> value, at most `max_age` seconds old; asked for now with `fresh`.

        What was read before stands in where SSM does not answer.

        Raises:
            SettingError: SSM does not answer, or the function may not read, and nothing was read before.
        """
        if not self._prefix:
            return {}
        with self._lock:
            if self._last is not None and time.time() < self._paused_until:
                return self._last
            try:
                self._last = self._read(fresh=fresh)
            except SettingError as error:
                if self._last is None:
                    raise
                self._paused_until = time.time() + _PAUSE_SECONDS
                logger.warning("settings may be old", extra={"error": str(error)})
            return self._last

    def _read(self, *, fresh: bool) -> dict[str, str]:
        # Slow to import (boto3), and only paid where parameters are used.
        from aws_lambda_powertools.utilities.parameters import GetParameterError, SSMProvider  # noqa: PLC0415 - only where SSM is set
        from botocore.config import Config  # noqa: PLC0415 - the same
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - the same

        try:
            if self._provider is None:
                limits = Config(
                    connect_timeout=_CONNECT_SECONDS,
                    read_timeout=_READ_SECONDS,
                    retries={"mode": "standard", "total_max_attempts": 2},
                )
                self._provider = SSMProvider(boto_config=limits)
            found = self._provider.get_multiple(
                self._prefix, max_age=self._max_age, decrypt=True, recursive=False, force_fetch=fresh
            )
        except (BotoCoreError, ClientError, GetParameterError) as error:
            raise SettingError(
                f"The parameters under {self._prefix}/ cannot be read ({_kind(error)}); check SSM_PREFIX and that the "
                "function's role may call ssm:GetParametersByPath there."
            ) from None  # its text may hold what was asked with
        return {name: str(value) for name, value in (found or {}).items()}


def _kind(error: Exception) -> str:
    """Return what AWS calls a failure, such as AccessDeniedException."""
    seen: BaseException | None = error
    while seen is not None:
        response = getattr(seen, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", type(error).__name__))
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__
