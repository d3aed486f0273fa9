"""Which variables count: the environment over our own `.env` files, and never those of another project."""

from __future__ import annotations

from pathlib import Path

import pytest

from cost_tracker.environment import environment, home, load_settings
from shared.errors import SettingError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def our_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "home"
    found.mkdir()
    monkeypatch.setenv("COST_TRACKER_HOME", str(found))
    monkeypatch.chdir(tmp_path)
    return found


def test_the_file_in_the_home_counts_wherever_one_stands(our_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (our_home / ".env").write_text("TIMEZONE=Asia/Tokyo\nPORT=8001\n")
    monkeypatch.setenv("PORT", "8002")
    assert (load_settings().timezone, load_settings().port) == ("Asia/Tokyo", 8002)
    assert load_settings(PORT="8003").port == 8003


@pytest.mark.usefixtures("our_home")
def test_the_file_of_another_project_does_not(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://somebody@else/shop\nLOG_LEVEL=verbose\n")
    assert load_settings().database_url is None


def test_where_the_code_lies_its_file_counts(our_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (our_home / ".env").write_text("BESIDE=home\nCOST_TRACKER_HOME=/nowhere\n")
    found = environment()
    assert (found["BESIDE"], home(found)) == ("home", our_home)


def test_a_malformed_file_is_named(our_home: Path) -> None:
    (our_home / ".env").write_text("hello\n")
    with pytest.raises(SettingError, match=str(our_home)):
        environment()


def test_a_home_may_be_written_with_a_tilde() -> None:
    assert home({"COST_TRACKER_HOME": "~/costs"}) == Path("~/costs").expanduser()
    assert home({}).is_absolute()
