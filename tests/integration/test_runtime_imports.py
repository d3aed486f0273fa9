"""A cold start answers a reader who waits: what reading does not need is not loaded by it."""

import json
import os
import subprocess
import sys

from tests.fixtures.events import API_KEY
from tests.integration.migrating import url_of

SCRIPT = """
import json, sys
from functions.api.main import handler
from tests.fixtures.events import Context, load

status = handler(load("api_monthly"), Context())["statusCode"]
print("LOADED " + json.dumps({"status": status, "modules": sorted(sys.modules)}))
"""
# The AWS SDK, the price catalogue with its own HTTP client, the jobs, and what documents the API.
NOT_FOR_READERS = {
    "boto3",
    "botocore.session",
    "genai_prices",
    "functions.jobs",
    "functions.metrics",
    "aws_lambda_powertools.utilities.parameters",
}


def test_a_report_loads_only_what_it_needs(dsn: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", SCRIPT],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DATABASE_URL": url_of(dsn),
            "API_KEY": API_KEY,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    [line] = [line[7:] for line in done.stdout.splitlines() if line.startswith("LOADED ")]
    found = json.loads(line)
    assert found["status"] == 200
    assert not NOT_FOR_READERS & set(found["modules"])
