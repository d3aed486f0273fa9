"""Where exports go that are too big for an answer: the bucket on AWS, a directory of the home on this machine."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from shared.errors import NotFoundError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from shared.config import Settings

# S3 takes parts from 5 MiB on.
_PART = 8 * 1024 * 1024
LINK_SECONDS = 3600
_KEPT_SECONDS = 24 * 3600
_DIRECTORY = "exports"
FOLDER = "exports"


class Sink(Protocol):
    """Takes an export piece by piece."""

    def write(self, piece: bytes) -> None:
        """Take the next bytes."""


@contextmanager
def to_bucket(bucket: str, key: str, content_type: str) -> Iterator[Sink]:
    """Upload what is written in parts, encrypted; an exception leaves nothing behind.

    Raises:
        SettingError: the bucket refuses.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - only big exports need the SDK

    client = _s3()
    where = {"Bucket": bucket, "Key": key}
    try:
        upload = client.create_multipart_upload(**where, ContentType=content_type, ServerSideEncryption="AES256")
        sink = _Upload(client, {**where, "UploadId": upload["UploadId"]})
        try:
            yield sink
            sink.finish()
        except BaseException:
            with suppress(BotoCoreError, ClientError):
                client.abort_multipart_upload(**sink.upload)
            raise
    except (BotoCoreError, ClientError) as error:
        raise SettingError(
            f"The bucket {bucket} does not take exports; check EXPORT_BUCKET and that this function may write to it."
        ) from error


def bucket_url(bucket: str, key: str, file_name: str) -> str:
    """Return a URL that gives the object to whoever has it, for an hour."""
    url: str = _s3().generate_presigned_url(
        "get_object",
        Params={
            "Bucket": bucket,
            "Key": key,
            "ResponseContentDisposition": f'attachment; filename="{file_name}"',
        },
        ExpiresIn=LINK_SECONDS,
    )
    return url


class _Upload:
    """One multipart upload."""

    def __init__(self, client: Any, upload: dict[str, str]) -> None:  # noqa: ANN401 - boto3 has no types
        self.upload = upload
        self._client = client
        self._held = bytearray()
        self._parts: list[dict[str, Any]] = []

    def write(self, piece: bytes) -> None:
        self._held += piece
        if len(self._held) >= _PART:
            self._send()

    def finish(self) -> None:
        self._send()
        self._client.complete_multipart_upload(**self.upload, MultipartUpload={"Parts": self._parts})

    def _send(self) -> None:
        number = len(self._parts) + 1
        answer = self._client.upload_part(**self.upload, PartNumber=number, Body=bytes(self._held))
        self._parts.append({"ETag": answer["ETag"], "PartNumber": number})
        self._held.clear()


def _s3() -> Any:  # noqa: ANN401 - boto3 has no types
    import boto3  # noqa: PLC0415 - only big exports need the SDK
    from botocore.config import Config  # noqa: PLC0415 - the same

    return boto3.client("s3", config=Config(signature_version="s3v4"))


class Directory:
    """Exports on this machine, given out by name to those who bring our signature; each is kept for a day."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home / _DIRECTORY
        secret = settings.key_pepper or settings.api_key
        self._secret = b"" if secret is None else secret.get_secret_value().encode()

    @contextmanager
    def open(self, name: str) -> Iterator[Sink]:
        """Write the file of that name; an exception leaves nothing behind.

        Raises:
            SettingError: the home cannot be written.
        """
        try:
            self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._forget()
            draft = self._path / f".{name}"
            try:
                with draft.open("wb") as file:
                    yield file  # type: ignore[misc] # a file has write, and more
                draft.rename(self._path / name)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise SettingError(
                f"{self._path} cannot be written ({error.strerror}); set EXPORT_BUCKET, or COST_TRACKER_HOME to a "
                "directory you can write."
            ) from error

    def query(self, name: str, now: datetime) -> dict[str, str]:
        """Return the parameters that open a file for an hour."""
        expires = str(int(now.timestamp()) + LINK_SECONDS)
        return {"expires": expires, "signature": self._sign(name, expires)}

    def find(self, name: str, expires: str, signature: str, now: datetime) -> Path:
        """Return where a file is.

        Raises:
            NotFoundError: the signature is wrong or its time is over, or the file is gone.
        """
        is_ours = hmac.compare_digest(self._sign(name, expires).encode(), signature.encode())
        path = self._path / name
        if not is_ours or int(expires) < now.timestamp() or not path.is_file():
            raise NotFoundError("This link is over or not one of ours; export again for a new one.")
        return path

    def _sign(self, name: str, expires: str) -> str:
        return hmac.new(self._secret, f"export\n{name}\n{expires}".encode(), hashlib.sha256).hexdigest()

    def _forget(self) -> None:
        for path in self._path.iterdir():
            with suppress(FileNotFoundError):  # another request was faster
                if path.stat().st_mtime < time.time() - _KEPT_SECONDS:
                    path.unlink()


def new_name(subject: str, extension: str, now: datetime) -> str:
    """Return a name for an export that nobody can guess."""
    return f"{subject}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(16)}.{extension}"
