"""The digest of the migrations that template.yaml carries: CloudFormation migrates again when it changes.

Run as a program, it writes the digest.
"""

from __future__ import annotations

import re

from infra.gates.sam import SOURCE
from shared.store import migrate

_LINE = re.compile(r"(?m)^(\s+SchemaHash: )\S+$")


def current() -> str:
    """Return the digest of the migrations as they lie here; the migration function compares it with its own."""
    return migrate.digest(migrate.load())


def written(source: str) -> str:
    """Return the template with the digest in it."""
    return _LINE.sub(rf"\g<1>{current()}", source)


def main() -> None:
    """Write the digest into template.yaml."""
    source = SOURCE.read_text()
    if written(source) != source:
        SOURCE.write_text(written(source))
        print("template.yaml: SchemaHash is new; the next deploy migrates.")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
