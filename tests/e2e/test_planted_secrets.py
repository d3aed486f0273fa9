"""Planted keys, pepper, password: in no response, log line, metric, error, repr or table row, whatever happens."""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.e2e import planted, planted_providers
from tests.fixtures.providers.registered import RECORDED

ROOT = Path(__file__).parents[2]


def said_by(script: str, dsn: str, secrets: Iterable[str]) -> str:
    """Run one of our scripts; what it said must hold no secret, nor the end of one."""
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-m", script, dsn],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, done.stderr[-3000:]
    for secret in secrets:
        # Its end gives it away too: a mask must not leave half of it.
        for part in (secret, secret[-12:]):
            where = said.find(part)
            assert where < 0, f"...{said[max(0, where - 300) : where]}<here>"
    return said


def test_no_secret_is_ever_said(dsn: str) -> None:
    said = said_by("tests.e2e.planted", dsn, planted.SECRETS)
    # The scenario really went through good and bad days.
    for status in (200, 201, 400, 401, 404, 503):
        assert f" {status} " in said
    assert "CollectorLagSeconds" in said
    assert "TABLE ledger" in said
    for code in ("wrong_kind", "unknown_key", "ok", "unreadable", "other"):
        assert f'"code":"{code}"' in said
    assert "The key reads the usage of Another." in said
    assert '"status":"failed"' in said.replace(" ", "")


def test_no_credential_of_any_provider_is_ever_said(dsn: str) -> None:
    said = said_by("tests.e2e.planted_providers", dsn, planted_providers.SECRETS)
    lives = re.split(r"(?m)^MODE ", said)[1:]
    for name in RECORDED:
        recorded = next(life for life in lives if life.startswith(f"{name} recorded\n"))
        assert '"code":"ok"' in recorded, name
        assert "TABLE accounts" in recorded, name
        assert '"streams":[{' in recorded or '"balances":[{' in recorded, name
        assert any('"code":"unknown_key"' in life for life in lives if life.startswith(f"{name} status 401")), name
