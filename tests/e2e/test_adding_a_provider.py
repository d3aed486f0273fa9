"""A provider that nobody knows takes one file, one line and one fixture: done here in a copy of the code."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MADE_UP = ROOT / "tests" / "fixtures" / "made_up"
COPIED = ("shared", "functions", "infra", "tests", "pyproject.toml")
CONTRACT = ("tests/unit/test_provider_contract.py", "tests/unit/test_provider_pages.py")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    registry = tmp_path / "shared" / "providers" / "registry.py"
    before, line, after = registry.read_text().partition('    "anthropic",\n')
    registry.write_text(f'{before}    "acme",\n{line}{after}')
    shutil.copy(MADE_UP / "provider.py.txt", tmp_path / "shared" / "providers" / "acme.py")
    return tmp_path


def pytest_in(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "acme", *words]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - our own


def test_without_its_fixture_the_contract_says_what_is_missing(tree: Path) -> None:
    done = pytest_in(tree, *CONTRACT)
    assert done.returncode != 0
    assert "acme is registered without the fixture acme/contract.json" in done.stdout


def test_a_file_a_line_and_a_fixture_are_enough(tree: Path) -> None:
    shutil.copytree(MADE_UP / "acme", tree / "tests" / "fixtures" / "providers" / "acme")
    shutil.copy(MADE_UP / "collected.py.txt", tree / "tests" / "integration" / "test_acme.py")
    done = pytest_in(tree, *CONTRACT, "tests/integration/test_acme.py")
    assert done.returncode == 0, done.stdout[-3_000:]
    assert "skipped" not in done.stdout
