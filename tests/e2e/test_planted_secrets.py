"""Planted keys, pepper, password: in no response, log line, metric, error, repr or table row, whatever happens."""

import subprocess
import sys
from pathlib import Path

from tests.e2e.planted import SECRETS

ROOT = Path(__file__).parents[2]


def test_no_secret_is_ever_said(dsn: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-m", "tests.e2e.planted", dsn],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, done.stderr[-3000:]
    for secret in SECRETS:
        # Its end gives it away too: a mask must not leave half of it.
        for part in (secret, secret[-12:]):
            where = said.find(part)
            assert where < 0, f"...{said[max(0, where - 300) : where]}<here>"
    # The scenario really went through good and bad days.
    for status in (200, 201, 400, 401, 404, 503):
        assert f" {status} " in said
    assert "CollectorLagSeconds" in said
    assert "TABLE ledger" in said
    for code in ("wrong_kind", "unknown_key", "ok", "unreadable", "other"):
        assert f'"code":"{code}"' in said
    assert "The key reads the usage of Another." in said
    assert '"status":"failed"' in said.replace(" ", "")
