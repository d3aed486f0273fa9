"""`make gates`: say what is wrong with template.yaml, or that nothing is."""

from __future__ import annotations

import json
import sys

from infra.gates import rules, sam


def main() -> int:
    """Run every gate; the exit code is 1 if one is shut."""
    source = sam.SOURCE.read_text()
    wrong = sam.lint(source, "template.yaml")
    try:
        translated = sam.translate(source)
    except sam.TranslationError as error:
        wrong.append(str(error))
    else:
        wrong += sam.lint(json.dumps(translated, indent=1), "translated.json") + rules.check(translated)
    print("\n".join(wrong) or "template.yaml passes every gate.")  # noqa: T201 - a program
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
