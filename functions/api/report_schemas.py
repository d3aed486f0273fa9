"""JSON schemas of the reports."""

from __future__ import annotations

from functions.api.schemas import (
    COUNT,
    DATE,
    FLAG,
    INSTANT,
    INSTANT_OR_NULL,
    INTEGER,
    MONEY,
    MONEY_OR_NULL,
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    array,
    mapping,
    schema,
)
from shared.core.report import BREAKDOWNS

TOKENS = schema(
    {
        "input": INTEGER,
        "output": INTEGER,
        "cache_read": INTEGER,
        "cache_write_5m": INTEGER,
        "cache_write_1h": INTEGER,
        "reasoning": INTEGER,
        "audio": INTEGER,
        "image": INTEGER,
        "web_searches": INTEGER,
    },
    "reasoning",
    "audio",
    "image",
    "web_searches",
    description="Disjoint classes; reasoning, audio and image are parts of them, shown when not zero",
)
COVERAGE = schema(
    {
        "complete_until": INSTANT_OR_NULL,
        "basis": {"type": "string", "enum": ["reported", "estimated", "mixed"]},
        "unpriced_requests": INTEGER,
        "unpriced_tokens": INTEGER,
        "quarantined_rows": {**COUNT, "description": "Rows held back as absurd, in no figure here"},
        "quarantined_cost": {**MONEY, "description": "What they would cost, as far as they have a price"},
        "demo": FLAG,
    },
    "demo",
)
_FIGURES = {
    "total_cost": MONEY,
    **{f"by_{name}": mapping(MONEY) for name in BREAKDOWNS},
    "requests": INTEGER,
    "tokens": TOKENS,
}

DAILY = schema({"date": DATE, **_FIGURES, "coverage": COVERAGE})
RANGE = schema(
    {
        "start": DATE,
        "end": DATE,
        "group_by": TEXT,
        "tz": TEXT,
        "total_cost": MONEY,
        "periods": array(schema({"date": DATE, "hour": INTEGER, "start": INSTANT, "end": INSTANT, **_FIGURES}, "hour")),
        "coverage": COVERAGE,
    }
)
SUMMARY = schema(
    {
        "start": DATE,
        "end": DATE,
        "days": INTEGER,
        **_FIGURES,
        "coverage": COVERAGE,
        "previous": schema({"start": DATE, "end": DATE, "total_cost": MONEY}),
        "change_pct": NUMBER_OR_NULL,
    }
)
BREAKDOWN = schema(
    {
        "start": DATE,
        "end": DATE,
        "dimension": TEXT,
        "total_cost": MONEY,
        "data": array(
            schema(
                {
                    "key": TEXT_OR_NULL,
                    "is_other": FLAG,
                    "cost": MONEY,
                    "share": NUMBER,
                    "requests": INTEGER,
                    "tokens": TOKENS,
                    "unpriced_requests": INTEGER,
                    "unpriced_tokens": INTEGER,
                },
                "is_other",
            )
        ),
        "coverage": COVERAGE,
    }
)
EXPLAIN = schema(
    {
        "date": DATE,
        "tz": TEXT,
        "total_cost": NUMBER,
        "lines": array(
            schema(
                {
                    "provider": TEXT,
                    "model": TEXT,
                    "model_raw": TEXT_OR_NULL,
                    "service_tier": TEXT_OR_NULL,
                    "batch": FLAG,
                    "speed": TEXT_OR_NULL,
                    "inference_geo": TEXT_OR_NULL,
                    "context_window": TEXT_OR_NULL,
                    "source": TEXT,
                    "records": COUNT,
                    "price": {"type": ["object", "null"]},
                    "classes": array(
                        schema({"class": TEXT, "quantity": INTEGER, "price": NUMBER, "per": INTEGER, "cost": NUMBER})
                    ),
                    "cost": NUMBER_OR_NULL,
                    "reported_cost": NUMBER_OR_NULL,
                    "note": TEXT,
                }
            )
        ),
        "unpriced": array(schema({"model": TEXT, "model_raw": TEXT_OR_NULL, "requests": COUNT, "tokens": COUNT})),
        "balanced": array(schema({"model": TEXT, "cost": NUMBER_OR_NULL})),
        "coverage": COVERAGE,
    }
)
RECONCILIATION = schema(
    {
        "start": DATE,
        "end": DATE,
        "estimated": MONEY,
        "billed": MONEY,
        "drift": MONEY,
        "drift_pct": NUMBER_OR_NULL,
        "data": array(
            schema(
                {
                    "account": TEXT,
                    "date": DATE,
                    "estimated": MONEY,
                    "billed": MONEY_OR_NULL,
                    "logged": MONEY,
                    "unattributed": MONEY,
                    "drift": MONEY_OR_NULL,
                    "drift_pct": NUMBER_OR_NULL,
                    "unpriced_tokens": INTEGER,
                    "reason": TEXT,
                }
            )
        ),
        "coverage": COVERAGE,
    }
)
RUN = schema(
    {
        "id": INTEGER,
        "job": TEXT,
        "status": {"type": "string", "enum": ["running", "succeeded", "partial", "failed"]},
        "started_at": INSTANT,
        "finished_at": INSTANT_OR_NULL,
        "result": {"type": "object"},
        "error": TEXT_OR_NULL,
    }
)
RUNS = schema(
    {
        "success": FLAG,
        "data": array(RUN),
        "count": COUNT,
        "has_more": FLAG,
        "next_cursor": TEXT_OR_NULL,
        "next": TEXT_OR_NULL,
    }
)
