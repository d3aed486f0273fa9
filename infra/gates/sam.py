"""The template as it is written, as SAM translates it, and what cfn-lint says of either."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "template.yaml"
_PYTHON = ROOT / ".venv-sam" / "bin" / "python"

Template: TypeAlias = dict[str, Any]


class TranslationError(Exception):
    """Correct template.yaml as the translator says; CloudFormation would refuse it the same way."""


def translate(source: str) -> Template:
    """Return what CloudFormation makes of a SAM template.

    Raises:
        TranslationError: SAM refuses it, or its command line is not installed.
    """
    if not _PYTHON.exists():
        raise TranslationError("SAM is not installed here; run: make .venv-sam/.installed")
    script = Path(__file__).with_name("translate.py")
    ran = subprocess.run([_PYTHON, script], input=source, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if ran.returncode:
        raise TranslationError(ran.stderr.strip().rpartition("\n")[2])
    translated: Template = json.loads(ran.stdout)
    return translated


def lint(text: str, name: str) -> list[str]:
    """Return what cfn-lint says of a template, one sentence each; `name` ends in .yaml or .json."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(text)
        command = [str(Path(sys.executable).with_name("cfn-lint")), "--format", "parseable", str(path)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    # Its exit code is 0 only where it found nothing at all.
    lines = [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
    return [line.replace(str(path), name) for line in lines] if ran.returncode else []


def resources(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of every resource of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def target(value: Any) -> str | None:  # noqa: ANN401 - any JSON
    """Return the logical id that `Ref` or `Fn::GetAtt` points at, None for anything else."""
    if isinstance(value, dict):
        if isinstance(name := value.get("Ref"), str):
            return name
        if isinstance(parts := value.get("Fn::GetAtt"), list):
            return str(parts[0])
    return None
