"""Credentials encrypted with a key file in the home directory: AES-256-GCM, each bound to its account.

Never on Lambda: what it needs (`cryptography`) does not ship.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import SettingError, UnreadableCredentialError

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "credential-key"
_MADE_HERE = b"L1"
_KEY_BYTES, _NONCE_BYTES, _MARK_BYTES = 32, 12, 8
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeyFileSealer:
    """A `Sealer` over `credential-key` in a directory; the first credential makes the file, for its owner's eyes."""

    def __init__(self, home: Path) -> None:
        self._path = home / NAME

    def seal(self, text: str, binding: Mapping[str, str]) -> bytes:
        """Return the text encrypted, behind a mark of the key that it takes to open it; see `Sealer.seal`."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - only who stores one loads it

        key = self._read() if self._path.exists() else self._make()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _MADE_HERE + _mark(key) + nonce + AESGCM(key).encrypt(nonce, text.encode(), _bytes(binding))

    def open(self, sealed: bytes, binding: Mapping[str, str]) -> str:
        """Return the text; see `Sealer.open`."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - the same
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - the same

        if not sealed.startswith(_MADE_HERE):
            raise UnreadableCredentialError("The credential was encrypted by KMS, elsewhere; store it again here.")
        if not self._path.exists():
            raise UnreadableCredentialError(
                f"The key file {self._path} is gone, so the credential cannot be read; bring the file back from a "
                "backup, or store the credential again."
            )
        key = self._read()
        mark, rest = _cut(sealed[len(_MADE_HERE) :], _MARK_BYTES)
        if mark != _mark(key):
            raise UnreadableCredentialError(
                f"The credential was encrypted with another key file than {self._path}; bring that one back, or store "
                "the credential again."
            )
        nonce, ciphertext = _cut(rest, _NONCE_BYTES)
        try:
            return AESGCM(key).decrypt(nonce, ciphertext, _bytes(binding)).decode()
        except (InvalidTag, ValueError):
            raise UnreadableCredentialError(
                "The credential was encrypted for another account, or is damaged; store it again."
            ) from None

    def _read(self) -> bytes:
        try:
            mode = stat.S_IMODE(self._path.stat().st_mode)
            text = self._path.read_text().strip()
        except OSError as error:
            raise SettingError(f"The key file {self._path} cannot be read ({error.strerror}).") from None
        if mode & _OTHERS:
            raise SettingError(f"Others may read the key file {self._path}; run: chmod 600 {self._path}")
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise SettingError(f"The key file {self._path} is damaged; bring it back from a backup.")
        return key

    def _make(self) -> bytes:
        """Write a new key, whole or not at all; of two who come at once both get the first one's."""
        try:
            handle, draft = tempfile.mkstemp(dir=self._path.parent)  # mode 600
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
                    file.flush()
                    # A credential that outlives its key in a power cut would be lost.
                    os.fsync(file.fileno())
                os.link(draft, self._path)
            except FileExistsError:
                pass  # another process was faster
            finally:
                Path(draft).unlink()
        except OSError as error:
            raise SettingError(
                f"The key file {self._path} cannot be written ({error.strerror}); set COST_TRACKER_HOME to a directory "
                "you can write."
            ) from None
        return self._read()


def _mark(key: bytes) -> bytes:
    """Return what tells keys apart without saying anything of them."""
    return hashlib.sha256(b"credential-key mark\0" + key).digest()[:_MARK_BYTES]


def _bytes(binding: Mapping[str, str]) -> bytes:
    return json.dumps(dict(binding), sort_keys=True).encode()


def _cut(data: bytes, at: int) -> tuple[bytes, bytes]:
    return data[:at], data[at:]
