"""The dependency rule: imports point right, never left, never sideways."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("functions", "shared", "cost_tracker", "infra")

# functions -> workflows -> providers | store | outbound | prices -> core; errors and config are for everyone but core.
_SHARED = "shared"
ALLOWED = {
    "shared/core": {"shared.core"},
    "shared/errors.py": set(),
    "shared/addresses.py": set(),
    "shared/dotenv.py": {"shared.errors"},
    "shared/config.py": {"shared.errors", "shared.addresses", "shared.core", "shared.dotenv"},
    "shared/prices": {"shared.prices", "shared.core", "shared.errors"},
    "shared/providers": {"shared.providers", "shared.core", "shared.errors", "shared.addresses", "shared.VERSION"},
    "shared/store": {"shared.store", "shared.core", "shared.errors"},
    "shared/outbound": {"shared.outbound", "shared.core", "shared.errors"},
    "shared/workflows": {
        "shared.workflows", "shared.providers", "shared.store", "shared.outbound", "shared.prices", "shared.core",
        "shared.errors",
    },
    "functions": {"functions", "shared"},
    "infra/demo": {"infra.demo"},
    "infra/local": {"infra.local", "infra.demo", "functions", "shared"},
    "cost_tracker": {"cost_tracker", "infra", "functions", "shared"},
}  # fmt: skip
OURS = {"functions", "shared", "cost_tracker", "infra", "tests"}
# What core may use of the outside: the standard library without clocks that tick by themselves, network or SQL.
CORE_REFUSES = {"httpx", "psycopg", "boto3", "logging", "socket", "urllib", "time", "os", "random", "genai_prices"}


def imports(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def violations(path: str, source: str) -> list[str]:
    layer = max((prefix for prefix in ALLOWED if path.startswith(prefix)), key=len, default=None)
    if layer is None:
        return []
    wrong = []
    for name in sorted(imports(source)):
        root = name.split(".")[0]
        if root in OURS and not any(f"{name}.".startswith(f"{allowed}.") for allowed in ALLOWED[layer]):
            # `from shared import errors` names the package first; what counts is what is taken from it.
            if name not in OURS:
                wrong.append(f"{path} imports {name}")
        elif layer == "shared/core" and root in CORE_REFUSES:
            wrong.append(f"{path} imports {name}")
        elif root == "logging" and not path.startswith(("functions", "infra", "cost_tracker")):
            wrong.append(f"{path} logs")
    return wrong


def python_files() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def test_imports_point_right() -> None:
    wrong = [
        line for path in python_files() for line in violations(path.relative_to(ROOT).as_posix(), path.read_text())
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("shared/core/pricing.py", "import httpx"),
        ("shared/core/pricing.py", "def f():\n    import httpx"),
        ("shared/core/pricing.py", "from shared.store import ledger"),
        ("shared/core/pricing.py", "from shared import store"),
        ("shared/providers/anthropic.py", "from shared.store import ledger"),
        ("shared/store/ledger.py", "from shared.providers.base import Bucket"),
        ("shared/workflows/collect.py", "from functions.runtime import App"),
        ("shared/workflows/collect.py", "import logging"),
        ("functions/api/app.py", "from infra.local import gateway"),
        ("infra/demo/anthropic.py", "from shared.core.pricing import price"),
    ],
)
def test_the_rule_can_fail(path: str, source: str) -> None:
    assert violations(path, source)


def test_what_ships_never_imports_the_library_for_key_files() -> None:
    shipped = [path for path in python_files() if path.relative_to(ROOT).parts[0] in {"functions", "shared"}]
    assert not [path for path in shipped if any(name.startswith("cryptography") for name in imports(path.read_text()))]


def test_core_never_asks_for_the_time() -> None:
    clocks = {"now", "today", "utcnow"}
    for path in (ROOT / "shared" / "core").glob("*.py"):
        calls = {
            node.func.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        assert not calls & clocks, f"{path.name} asks for the time"


def test_no_file_outgrows_its_concept() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in [*python_files(), *(ROOT / "tests").rglob("*.py"), *ROOT.rglob("shared/**/*.sql")]
        if (lines := len(path.read_text().splitlines())) > 300
    }
    assert not long
