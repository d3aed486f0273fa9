"""FOCUS files -> the rules of focus-validator that each breaks, as JSON. A script for .venv-focus.

Measured with 2.2.1: its command ends with 0 whatever fails, it opens a table of its own relative to the working
directory, it skips two thirds of its rules unless told what applies, and it looks for newer rules on the network.
"""

import contextlib
import io
import json
import logging
import os
import sys
from pathlib import Path

# What applies to a seller of tokens; with ALL, rules for commitments fail on columns that are null throughout.
CRITERIA = (
    "ACCOUNT_NAMING_SUPPORTED", "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED",
    "MULTIPLE_BILLING_ACCOUNT_TYPES_SUPPORTED", "MULTIPLE_PRICING_CATEGORIES_SUPPORTED",
    "MULTIPLE_SUB_ACCOUNT_TYPES_SUPPORTED", "NEGOTIATED_PRICING_SUPPORTED",
    "PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED", "PUBLIC_PRICE_LIST_SUPPORTED", "REGION_SUPPORTED",
    "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED", "SUB_ACCOUNT_SUPPORTED", "TAGGING_SUPPORTED", "UNIT_PRICING_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED", "VIRTUAL_CURRENCY_SUPPORTED",
)  # fmt: skip
# One says that InvoiceId must be null and one that it must not, both without a condition: one of them always fails.
CONTRADICTION = {"InvoiceId-C-004-C", "InvoiceId-C-005-C"}


def main(files: list[str]) -> None:
    import focus_validator  # noqa: PLC0415 - this environment's alone

    os.chdir(Path(focus_validator.__file__).parents[1])
    logging.disable(logging.CRITICAL)
    from focus_validator.validator import Validator  # noqa: PLC0415 - reads the working directory

    def validate(file: str) -> dict[str, object]:
        with contextlib.redirect_stdout(io.StringIO()):
            found = Validator(
                data_filename=file,
                output_destination=None,
                output_type="console",
                rules_version="1.2",
                focus_dataset="CostAndUsage",
                rules_block_remote_download=True,
                applicability_criteria=",".join(CRITERIA),
            ).validate()
        results = found.by_rule_id
        broken = {
            rule: str(result["details"].get("message"))
            for rule, result in results.items()
            if not result.get("ok") and rule not in CONTRADICTION
        }
        return {"rules": len(results), "broken": broken}

    json.dump([validate(file) for file in files], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
