"""Credentials encrypted by KMS, each bound to its account; the key never leaves KMS, which notes every use of it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.errors import SettingError, UnreadableCredentialError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONNECT_SECONDS = 2
_READ_SECONDS = 4
# What KMS answers where the text, its context or the key are not those that were used to encrypt.
_NOT_OURS = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_MADE_HERE = b"K1"


class KmsSealer:
    """A `Sealer` over the KMS key of this id, ARN or alias; safe to share between threads."""

    def __init__(self, key_id: str) -> None:
        self._key_id = key_id

    def seal(self, text: str, binding: Mapping[str, str]) -> bytes:
        """Return the text encrypted under the key, with the binding as encryption context; see `Sealer.seal`."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - readers do without the SDK

        try:
            answer = self._client.encrypt(KeyId=self._key_id, Plaintext=text.encode(), EncryptionContext=dict(binding))
        except (BotoCoreError, ClientError) as error:
            raise self._unusable(error, "kms:Encrypt") from None  # its text may hold what was asked with
        return _MADE_HERE + bytes(answer["CiphertextBlob"])

    def open(self, sealed: bytes, binding: Mapping[str, str]) -> str:
        """Return the text; see `Sealer.open`."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - the same

        if not sealed.startswith(_MADE_HERE):
            raise UnreadableCredentialError(
                "The credential was encrypted with the key file of another machine; store it again here."
            )
        try:
            answer = self._client.decrypt(
                KeyId=self._key_id, CiphertextBlob=sealed[len(_MADE_HERE) :], EncryptionContext=dict(binding)
            )
        except ClientError as error:
            if _code(error) in _NOT_OURS:
                raise UnreadableCredentialError(
                    "The credential was encrypted with another KMS key or for another account; store it again."
                ) from None
            raise self._unusable(error, "kms:Decrypt") from None
        except BotoCoreError as error:
            raise self._unusable(error, "kms:Decrypt") from None
        return bytes(answer["Plaintext"]).decode()

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
        import boto3  # noqa: PLC0415 - slow, and only paid where a credential is used
        from botocore.config import Config  # noqa: PLC0415 - the same

        limits = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        return boto3.client("kms", config=limits)

    def _unusable(self, error: Exception, action: str) -> SettingError:
        return SettingError(
            f"The KMS key of CREDENTIALS_KEY cannot be used ({_code(error)}); check that it is enabled and that the "
            f"function's role may call {action} with it."
        )


def _code(error: Exception) -> str:
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code")) if isinstance(response, dict) else type(error).__name__
