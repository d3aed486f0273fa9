"""Accounts whose provider needs to know more than a key, through the command line."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from tests.e2e.commands import Cli, local

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_options_are_given_changed_and_shown(
    postgres_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = Cli(capsys, monkeypatch, local(postgres_dsn, tmp_path / "home"))
    add = ("accounts", "add", "Acme", "--provider", "github-copilot", "--credential-stdin")
    # Nobody listens there, so that a credential is stored without having been tried.
    nowhere = ("--option", "base_url=http://127.0.0.1:9")

    def given(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO("github_pat_PLANTED\n"))
        done = cli(*arguments)
        assert "PLANTED" not in done.out + done.err
        return done.code, done.out, done.err

    code, _, said = given(*add)
    assert (code, "needs one of the options organization, user or enterprise" in said) == (1, True)
    code, _, said = given(*add, "--option", "organization")
    assert (code, "is not KEY=VALUE" in said) == (2, True)
    code, shown, said = given(*add, *nowhere, "--option", "organization=acme")
    assert (code, shown) == (
        0,
        "1: Acme of github-copilot, base_url=http://127.0.0.1:9, organization=acme, its default\n",
    )
    assert "Stored, but not tried" in said
    listed = cli("accounts").out
    assert "Options" in listed
    assert "organization=acme" in listed

    changed = cli.json("accounts", "set", "Acme", "--option", "organization=", "--option", "enterprise=acme-group")
    assert changed["options"] == {"base_url": "http://127.0.0.1:9", "enterprise": "acme-group"}
    wrong = cli("accounts", "set", "Acme", "--option", "enterprise=")
    assert (wrong.code, "needs one of the options" in wrong.err) == (1, True)
    assert cli.json("accounts", "set", "Acme", "--monthly-limit", "9")["options"] == changed["options"]
