"""SAM template on stdin -> CloudFormation on stdout. A script for .venv-sam: SAM's translator needs pins of its own."""

from __future__ import annotations

import json
import os
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class _NoManagedPolicies:
    """Stands in for a question to IAM, which nothing here asks: the template names no managed policy."""

    def load(self) -> dict[str, str]:
        """Return the known managed policies: none."""
        return {}


def main() -> None:
    """Translate as CloudFormation would, but for the code, which only `sam build` knows."""
    # The partition of ARNs follows from the region; any one does.
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    template = yaml_parse(sys.stdin.read())
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/artefact"
    json.dump(transform(template, {}, _NoManagedPolicies()), sys.stdout)


if __name__ == "__main__":
    main()
