"""Docs can fail: every route, command, setting and public table is in the manual, and its links lead somewhere."""

import re
from pathlib import Path

import pytest
import typer.main

from cost_tracker.app import app as command_line
from functions.api.main import ROUTERS
from shared.config import names

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]}
MANUAL = "\n".join(PAGES.values())
ROUTES = sorted({(route.method, route.path) for router in ROUTERS for route in router.routes})
COMMANDS = sorted(getattr(typer.main.get_command(command_line), "commands", {}))
# What people rely on, whatever else there is.
PROMISED = (
    "init", "serve", "log", "import", "report", "stats", "export", "models", "projects", "accounts", "collect", "push",
    "reprice", "verify", "keys", "doctor", "statusline",
)  # fmt: skip
TABLES = ("usage_records", "daily_summaries", "project_mappings")


def is_described(method: str, path: str) -> bool:
    # A row of the table may name several paths of one folder: `GET /costs/by-model`, `by-project` ...
    folder, _, last = path.rpartition("/")
    return f"{method} {path}`" in MANUAL or (f"`{last}`" in MANUAL and f"`{folder}/`" in MANUAL)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_is_in_the_manual(method: str, path: str) -> None:
    assert is_described(method, path)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_manual(command: str) -> None:
    assert f"`cost-tracker {command}" in MANUAL


@pytest.mark.parametrize("command", PROMISED)
def test_every_command_that_was_promised_is_there(command: str) -> None:
    assert command in COMMANDS
    assert f"| `cost-tracker {command}` |" in README


@pytest.mark.parametrize("name", [*names().values(), *TABLES])
def test_every_setting_and_table_is_in_the_manual(name: str) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGES[name]):
        assert ((ROOT / name).parent / target).exists(), target


def test_every_folder_of_the_map_exists() -> None:
    found = re.findall(r"^\| `([a-z_/]+)/` \|", README, flags=re.MULTILINE)
    assert len(found) > 5
    assert all((ROOT / folder).is_dir() for folder in found)


def test_the_manual_can_fail() -> None:
    assert not is_described("GET", "/costs/by-nothing")
    assert not is_described("DELETE", "/admin/collect")
