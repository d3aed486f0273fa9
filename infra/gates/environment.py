"""Which environment variables the shipped code reads, and which of them the template leaves out on purpose."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from infra.gates.sam import ROOT, Template, resources
from shared.config import Settings, names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_SECRET = "a secret: a SecureString parameter in SSM"  # noqa: S105 - a reason
_OPTIONAL = "its default suits almost everybody: an SSM parameter where it does not"
_LOCAL = "for runs on a laptop"

# Every variable that the code reads and the template does not set, with the reason.
NOT_SET: Mapping[str, str] = {
    "DATABASE_URL": _SECRET,
    "DATABASE_URL_DIRECT": _SECRET,
    "API_KEY": _SECRET,
    "KEY_PEPPER": _SECRET,
    "ANTHROPIC_ADMIN_KEY": _SECRET,
    "ANTHROPIC_ADMIN_API_KEY": _SECRET,
    "ANTHROPIC_API_KEY": _SECRET,
    "OPENAI_ADMIN_KEY": _SECRET,
    "OPENROUTER_API_KEY": _SECRET,
    "XAI_MANAGEMENT_KEY": _SECRET,
    "MOONSHOT_API_KEY": _SECRET,
    "DEEPSEEK_API_KEY": _SECRET,
    "LITELLM_API_KEY": _SECRET,
    "CONTEXT_VAULT_API_KEY": _SECRET,
    "ANTHROPIC_BASE_URL": _OPTIONAL,
    "OPENAI_BASE_URL": _OPTIONAL,
    "OPENROUTER_BASE_URL": _OPTIONAL,
    "X_AI_BASE_URL": _OPTIONAL,
    "MOONSHOTAI_BASE_URL": _OPTIONAL,
    "DEEPSEEK_BASE_URL": _OPTIONAL,
    "LITELLM_BASE_URL": _OPTIONAL,
    "ANTHROPIC_REPORTS": _OPTIONAL,
    "CONTEXT_VAULT_PATH": _OPTIONAL,
    "CONTEXT_VAULT_METHOD": _OPTIONAL,
    "CONTEXT_VAULT_AUTH_HEADER": _OPTIONAL,
    "CONTEXT_VAULT_WORKSPACE": _OPTIONAL,
    "CONTEXT_VAULT_ENVELOPE": _OPTIONAL,
    "CONTEXT_VAULT_CONTENT": _OPTIONAL,
    "CONTEXT_VAULT_NAMES": _OPTIONAL,
    "COLLECTION_LOOKBACK_DAYS": _OPTIONAL,
    "COLLECTION_BACKFILL_DAYS": _OPTIONAL,
    "EXPORT_BUCKET": _OPTIONAL,
    "PRICE_CATALOGUE_URL": _OPTIONAL,
    "COST_TRACKER_HOME": _LOCAL,
    "PORT": _LOCAL,
}
# Variables that only some functions need, and which those are.
ONLY_ON: Mapping[str, Collection[str]] = {
    "WORKER_FUNCTION": {"ApiFunction"},
    "CREDENTIALS_KEY": {"ApiFunction", "CollectorFunction"},
}
# Read by Powertools, not by us.
_LIBRARIES = re.compile(r"POWERTOOLS_[A-Z_]+")
_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")


def secrets() -> set[str]:
    """Return the settings whose values nobody may see."""
    return {names()[field] for field, info in Settings.model_fields.items() if "SecretStr" in str(info.annotation)}


def read_by(source: str) -> set[str]:
    """Return the variables that a module may read: every name in capitals, if it looks at the environment at all."""
    nodes = list(ast.walk(ast.parse(source)))
    identifiers = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    identifiers |= {node.id for node in nodes if isinstance(node, ast.Name)}
    if not identifiers & {"environ", "getenv"}:
        return set()
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if _NAME.fullmatch(text)}


def read_by_the_code() -> set[str]:
    """Return every variable that what ships reads: the settings, and what modules look up themselves."""
    found = set(names().values())
    for folder in ("functions", "shared"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= read_by(path.read_text())
    return found


def check_environment(template: Template, not_set: Mapping[str, str] = NOT_SET) -> list[str]:
    """Every variable that the code reads is set or left out for a reason, and none is set that nobody reads."""
    wrong = []
    needed = read_by_the_code()
    for name, function in resources(template, "AWS::Lambda::Function").items():
        given = set(function.get("Environment", {}).get("Variables", {}))
        expected = {each for each in needed - set(not_set) if name in ONLY_ON.get(each, {name})}
        wrong += [f"{name} does not set {each}; set it or give a reason in NOT_SET." for each in expected - given]
        wrong += [
            f"{name} sets {each}, which nothing reads; remove it."
            for each in given - needed
            if not _LIBRARIES.fullmatch(each)
        ]
        wrong += [f"{name} sets {each}; secrets belong in SSM." for each in given & secrets()]
    wrong += [f"NOT_SET names {each}, which nothing reads; remove it." for each in set(not_set) - needed]
    return sorted(wrong)
