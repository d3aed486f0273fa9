"""Credentials at rest: each opens in its own row only, by KMS and by the key file alike."""

import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from functions import runtime
from functions.kms import KmsSealer
from infra.local.sealer import NAME, KeyFileSealer
from shared.errors import SettingError, UnreadableCredentialError
from shared.workflows.sealing import NoSealer, Sealer, binding

KEY = "sk-ant-admin01-PLANTED-and-sealed"
HERE = binding(7, "anthropic", {"base_url": "https://proxy.example.com"})


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[KmsSealer]:
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield KmsSealer(boto3.client("kms").create_key()["KeyMetadata"]["Arn"])


@pytest.fixture(params=["kms", "key file"])
def sealer(request: pytest.FixtureRequest, tmp_path: Path) -> Sealer:
    if request.param == "kms":
        found: Sealer = request.getfixturevalue("kms")
        return found
    return KeyFileSealer(tmp_path)


def test_what_is_sealed_is_opened_and_never_the_same_twice(sealer: Sealer) -> None:
    first, second = sealer.seal(KEY, HERE), sealer.seal(KEY, HERE)
    assert first != second
    assert sealer.open(first, HERE) == sealer.open(second, HERE) == KEY
    assert KEY.encode() not in first + second
    assert KEY not in repr(sealer)


@pytest.mark.parametrize(
    "elsewhere",
    [
        binding(8, "anthropic", {"base_url": "https://proxy.example.com"}),
        binding(7, "openai", {"base_url": "https://proxy.example.com"}),
        binding(7, "anthropic", {"base_url": "https://thief.example.com"}),
        binding(7, "anthropic", {}),
    ],
)
def test_in_another_row_it_opens_nothing(sealer: Sealer, elsewhere: dict[str, str]) -> None:
    sealed = sealer.seal(KEY, HERE)
    with pytest.raises(UnreadableCredentialError, match="for another account") as error:
        sealer.open(sealed, elsewhere)
    assert KEY not in str(error.value)


@pytest.mark.parametrize(
    "damage", [lambda s: s[:-1], lambda s: s[:-1] + bytes([s[-1] ^ 1]), lambda s: s[:12], lambda _: b""]
)
def test_what_is_damaged_is_said_to_be(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    sealer = KeyFileSealer(tmp_path)
    with pytest.raises(UnreadableCredentialError, match=r"store (it|the credential) again"):
        sealer.open(damage(sealer.seal(KEY, HERE)), HERE)


def test_the_key_file_is_for_its_owner_only(tmp_path: Path) -> None:
    sealer = KeyFileSealer(tmp_path)
    sealed = sealer.seal(KEY, HERE)
    path = tmp_path / NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [NAME]
    path.chmod(0o640)
    with pytest.raises(SettingError, match=r"Others may read .*; run: chmod 600"):
        sealer.open(sealed, HERE)
    path.chmod(0o600)
    path.write_text("not a key")
    with pytest.raises(SettingError, match="is damaged; bring it back"):
        sealer.seal(KEY, HERE)


def test_two_who_make_the_key_file_at_once_make_one(tmp_path: Path) -> None:
    sealed: list[bytes] = []
    start = threading.Barrier(6)

    def seal() -> None:
        start.wait()
        sealed.append(KeyFileSealer(tmp_path).seal(KEY, HERE))

    threads = [threading.Thread(target=seal) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [KeyFileSealer(tmp_path).open(one, HERE) for one in sealed] == [KEY] * 6


def test_without_its_key_file_it_says_what_to_do(tmp_path: Path) -> None:
    sealer = KeyFileSealer(tmp_path)
    sealed = sealer.seal(KEY, HERE)
    kept = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).unlink()
    with pytest.raises(UnreadableCredentialError, match=r"is gone.*bring the file back.*or store the credential again"):
        sealer.open(sealed, HERE)
    assert not (tmp_path / NAME).exists()  # looking makes none
    other = sealer.seal("another one", HERE)
    with pytest.raises(UnreadableCredentialError, match=r"with another key file than .*; bring that one back"):
        sealer.open(sealed, HERE)
    (tmp_path / NAME).write_bytes(kept)
    assert sealer.open(sealed, HERE) == KEY
    with pytest.raises(UnreadableCredentialError, match="with another key file"):
        sealer.open(other, HERE)


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot be written .*; set COST_TRACKER_HOME"):
        KeyFileSealer(tmp_path / "missing").seal(KEY, HERE)


def test_each_says_of_the_others_ciphertext_that_it_is_not_its_own(kms: KmsSealer, tmp_path: Path) -> None:
    with pytest.raises(UnreadableCredentialError, match="key file of another machine; store it again"):
        kms.open(KeyFileSealer(tmp_path).seal(KEY, HERE), HERE)
    with pytest.raises(UnreadableCredentialError, match="by KMS, elsewhere; store it again"):
        KeyFileSealer(tmp_path).open(kms.seal(KEY, HERE), HERE)


def test_another_kms_key_opens_nothing(kms: KmsSealer) -> None:
    sealed = kms.seal(KEY, HERE)
    other = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    with pytest.raises((UnreadableCredentialError, SettingError)) as error:
        KmsSealer(other).open(sealed, HERE)
    assert KEY not in str(error.value)


def test_a_kms_key_that_cannot_be_used_is_a_setting_to_correct(kms: KmsSealer) -> None:
    assert kms.seal(KEY, HERE)  # KMS is the fake one
    gone = KmsSealer("arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000")
    with pytest.raises(SettingError, match=r"CREDENTIALS_KEY cannot be used \(NotFoundException\); .*kms:Encrypt"):
        gone.seal(KEY, HERE)


def test_where_no_key_is_set_up_nothing_is_stored() -> None:
    with pytest.raises(SettingError, match="CREDENTIALS_KEY is not set"):
        NoSealer().seal(KEY, HERE)
    with pytest.raises(UnreadableCredentialError, match="CREDENTIALS_KEY is not set"):
        NoSealer().open(b"K1", HERE)


def test_a_function_seals_with_the_key_of_its_template(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "CREDENTIALS_KEY": "alias/of-the-template"}
    assert isinstance(runtime.Process(environ).app().sealer, KmsSealer)
    assert isinstance(runtime.Process(environ | {"CREDENTIALS_KEY": ""}).app().sealer, NoSealer)
