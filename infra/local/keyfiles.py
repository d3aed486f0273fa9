"""The secrets that a tracker on this machine makes for itself, kept in its home."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from shared.errors import SettingError

if TYPE_CHECKING:
    from shared.config import Settings


def with_keys(settings: Settings) -> Settings:
    """Return settings with `API_KEY` and `KEY_PEPPER`, from the home where they are not set; made there once.

    Raises:
        SettingError: the home cannot be used.
    """
    made = {}
    try:
        # Root's Postgres runs as a user of its own, which has to get through.
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o755 if os.geteuid() == 0 else 0o700)
        if settings.api_key is None:
            made["api_key"] = SecretStr(_kept(api_key_path(settings), "act_local_"))
        if settings.key_pepper is None:
            made["key_pepper"] = SecretStr(_kept(settings.home / "key-pepper", ""))
    except OSError as error:
        raise SettingError(
            f"{settings.home} cannot be used ({error.strerror}); set COST_TRACKER_HOME to a directory you can write."
        ) from error
    return settings.model_copy(update=made)


def api_key_path(settings: Settings) -> Path:
    """Return where the API key is kept that was made because `API_KEY` was not set."""
    return settings.home / "api-key"


def _kept(path: Path, prefix: str) -> str:
    """Return the secret in a file that only its owner can read; the first to come makes it, whole or not at all."""
    if not path.exists():
        handle, draft = tempfile.mkstemp(dir=path.parent)  # mode 600
        try:
            with os.fdopen(handle, "w") as file:
                file.write(f"{prefix}{secrets.token_urlsafe(32)}\n")
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was faster
        finally:
            Path(draft).unlink()
    return path.read_text().strip()
