"""The demo's export is the demo's reports, to the last digit."""

import csv
import io
from collections import defaultdict
from decimal import Decimal

from shared.core import jsontext
from tests.e2e.conftest import Service

RANGE = {"start": "2026-10-01", "end": "2026-11-20"}


def test_every_format_sums_to_the_reports(demo: Service) -> None:
    report = demo.get("/costs/by-model", **RANGE, limit="1000")
    texts = {form: demo.http.get("/api/usage/export", params={**RANGE, "format": form}, follow_redirects=True).text
             for form in ("csv", "json", "jsonl")}  # fmt: skip
    lines = {
        "csv": list(csv.DictReader(io.StringIO(texts["csv"], newline=""))),
        "json": jsontext.loads(texts["json"]),
        "jsonl": [jsontext.loads(line) for line in texts["jsonl"].splitlines()],
    }
    for rows in lines.values():
        assert len(rows) == len(lines["json"]) > 100
        costs: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in rows:
            costs[row["model"]] += Decimal(row["cost_usd"] or 0)
        shown = {row["key"]: row["cost"] for row in report["data"]}
        assert {model: round(cost, 10) for model, cost in costs.items()} == {
            model: Decimal(cost) for model, cost in shown.items()
        }
        assert round(sum(costs.values(), Decimal(0)), 10) == report["total_cost"]
