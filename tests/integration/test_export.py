"""Exports: every line once, every digit, what spreadsheets would run made harmless, big ones beside the answer."""

import csv
import io
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto import mock_aws

from functions import runtime
from functions.api import main
from infra.local.transport import HandlerTransport
from shared.config import Settings
from shared.core import jsontext
from shared.store.records import COLUMNS
from tests.integration.collecting import NOW
from tests.integration.conftest import by_way

BUCKET = "exports-of-the-tests"
EVENT: dict[str, Any] = {"model": "claude-sonnet-4-5", "tokens_in": 1000, "tokens_out": 100}
ODD = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\ttab", "\rreturn", 'quote " inside', "comma, inside", "line\nfeed", "a\r\nb", "'",
    "ünïcode 🦊", "NULL", "\\N", "\\.",
]  # fmt: skip
SERVED = Callable[..., httpx.Client]


@pytest.fixture
def served(dsn: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SERVED]:
    closers: list[Callable[[], object]] = []

    def start(**more: str) -> httpx.Client:
        given = {"DATABASE_URL": by_way("direct", dsn, request), "API_KEY": "k", "COST_TRACKER_HOME": str(tmp_path)}
        settings = Settings.load(given | more)
        app = runtime.build(settings, httpx.Client(), clock=lambda: NOW, dispatch=runtime.in_a_thread)
        closers.extend([app.http.close, app.database.close])
        transport = HandlerTransport(main.build(lambda: app))
        http = httpx.Client(transport=transport, base_url="http://local", headers={"X-API-Key": "k"})
        closers.append(http.close)
        return http

    yield start
    for close in reversed(closers):
        close()


def post(http: httpx.Client, rows: list[dict[str, Any]]) -> None:
    for at in range(0, len(rows), 1000):
        answer = http.post("/api/usage", content=jsontext.dumps([{**EVENT, **row} for row in rows[at : at + 1000]]))
        assert answer.json()["rejected"] == 0, answer.text


def export(http: httpx.Client, **params: str) -> httpx.Response:
    answer = http.get("/api/usage/export", params=params)
    assert answer.status_code == 200, answer.text
    return answer


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_survives_the_round_trip(served: SERVED) -> None:
    http = served()
    post(http, [{"agent": text, "description": text, "event_id": f"{number}"} for number, text in enumerate(ODD)])
    answer = export(http, format="csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="usage-2026-11-20.csv"'
    rows = read_csv(answer.text)
    assert tuple(rows[0]) == COLUMNS
    for row in rows:
        sent = ODD[int(row["event_id"])].strip()
        harmless = f"'{sent}" if sent[0] in "=+-@\t\r" else sent
        assert (row["agent"], row["description"]) == (harmless, harmless)
    # The same by an independent reading of RFC 4180: rows end with CR LF, whatever the texts hold.
    assert answer.text.count("\r\n") == len(rows) + 1 + sum("\r\n" in text for text in ODD) * 2


def test_numbers_stay_numbers_with_all_their_digits(served: SERVED) -> None:
    http = served()
    cost = Decimal("0.123456789012345678901234567891")
    post(http, [{"model": "who-knows", "cost": cost}, {"tokens_in": 7}, {"model": "who-knows"}])
    for form in ("json", "jsonl"):
        text = export(http, format=form).text
        rows = jsontext.loads(text) if form == "json" else [jsontext.loads(line) for line in text.splitlines()]
        assert [row["cost_usd"] for row in rows] == [None, Decimal("0.001521"), cost]
        assert tuple(rows[0]) == COLUMNS
    rows = read_csv(export(http).text)
    assert [row["cost_usd"] for row in rows] == ["", "0.001521", str(cost)]
    assert rows[1]["recorded_at"] == "2026-11-20T10:30:00Z"


def test_exports_agree_with_the_list_and_the_reports(served: SERVED) -> None:
    http = served()
    rows = [
        {
            "event_id": str(number), "tokens_in": number * 977, "tokens_out": number, "agent": f"a{number % 3}",
            "recorded_at": f"2026-11-{10 + number % 9}T10:00:00.{number:03}Z", "tags": {"n": number},
            "metadata": {"x": [number, None]}, "cost": Decimal(number) / 8,
        }
        for number in range(60)
    ]  # fmt: skip
    post(http, rows)
    wrong = jsontext.loads(http.get("/api/usage", params={"limit": 1}).content)["data"][0]["id"]
    http.post(f"/api/usage/{wrong}/void", json={"reason": "wrong"})
    listed = jsontext.loads(http.get("/api/usage", params={"limit": 1000}).content)["data"]
    exported = jsontext.loads(export(http, format="json").text)
    assert exported == listed
    assert len(exported) == 59
    for row, line in zip(read_csv(export(http).text), exported, strict=True):
        assert Decimal(row["cost_usd"]) == line["cost_usd"]
        assert (row["recorded_at"], jsontext.loads(row["tags"])) == (line["recorded_at"], line["tags"])
        assert jsontext.loads(row["metadata"]) == line["metadata"]
    total = jsontext.loads(http.get("/costs/range", params={"start": "2026-11-01"}).content)["total_cost"]
    assert sum(row["cost_usd"] for row in exported) == total
    some = jsontext.loads(export(http, format="json", agent="a1", start="2026-11-12", end="2026-11-12").text)
    assert [row["id"] for row in some] == [
        row["id"] for row in listed if row["agent"] == "a1" and row["recorded_at"].startswith("2026-11-12")
    ]
    assert export(http, format="json", agent="nobody").json() == []
    assert export(http, format="jsonl", agent="nobody").text == ""
    assert read_csv(export(http, format="csv", agent="nobody").text) == []


def test_an_unknown_format_names_the_known_ones(served: SERVED) -> None:
    answer = served().get("/api/usage/export", params={"format": "xlsx"})
    assert (answer.status_code, "csv, json, jsonl" in answer.text) == (400, True)


def big(http: httpx.Client) -> int:
    """Store more than five megabytes of lines; return how many."""
    count = 4000
    post(http, [{"description": f"{number} " + "x" * 1500} for number in range(count)])
    return count


def test_big_exports_stay_on_this_machine_without_a_bucket(served: SERVED, tmp_path: Path) -> None:
    http = served()
    count = big(http)
    answer = http.get("/api/usage/export", params={"format": "csv"})
    assert answer.status_code == 303
    url = answer.headers["location"]
    assert url.startswith("http://local/api/usage/exports/usage-")
    file = http.get(url)
    assert (file.status_code, len(read_csv(file.text))) == (200, count)
    [path] = (tmp_path / "exports").iterdir()
    assert path.parent.stat().st_mode & 0o077 == 0
    for wrong in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.replace("expires=1", "expires=2"),
        url.replace("usage-", "usagf-"),
        url.partition("?")[0],
    ):
        assert http.get(wrong).status_code == 404, wrong
    assert http.get(url, headers={"X-API-Key": "no"}).status_code == 401


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


def test_big_exports_go_to_the_bucket_encrypted(served: SERVED, bucket: Any) -> None:  # noqa: ANN401 - boto3 has no types
    http = served(EXPORT_BUCKET=BUCKET)
    count = big(http)
    answer = http.get("/api/usage/export", params={"format": "jsonl"})
    assert (answer.status_code, answer.content != b"") == (303, True)
    [stored] = bucket.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert stored["Key"].startswith("exports/usage-20261120T103000Z-")
    assert stored["Size"] > 5 * 1024 * 1024
    found = bucket.get_object(Bucket=BUCKET, Key=stored["Key"])
    assert found["ServerSideEncryption"] == "AES256"
    lines = found["Body"].read().splitlines()
    assert len({jsontext.loads(line)["id"] for line in lines}) == count
    url = httpx.URL(answer.headers["location"])
    assert (BUCKET in str(url), url.params["X-Amz-Expires"]) == (True, "3600")
    assert bucket.list_multipart_uploads(Bucket=BUCKET).get("Uploads") is None
    # A small one is answered as ever.
    export(http, agent="nobody")


def test_big_focus_exports_go_there_as_csv(served: SERVED, bucket: Any) -> None:  # noqa: ANN401 - boto3 has no types
    http = served(EXPORT_BUCKET=BUCKET)
    count = 5000
    post(http, [{"agent": f"agent {number}"} for number in range(count)])
    answer = http.get("/api/usage/export", params={"format": "focus"})
    assert answer.status_code == 303
    [stored] = bucket.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert stored["Key"].startswith("exports/focus-20261120T103000Z-")
    assert stored["Key"].endswith(".csv")
    found = bucket.get_object(Bucket=BUCKET, Key=stored["Key"])
    assert found["ContentType"].startswith("text/csv")
    rows = read_csv(found["Body"].read().decode())
    assert len(rows) == 2 * count  # input and output
    assert sum(Decimal(row["BilledCost"]) for row in rows) == count * Decimal("0.0045")


def test_a_bucket_that_refuses_is_a_sentence(served: SERVED, bucket: Any) -> None:  # noqa: ANN401 - boto3 has no types
    assert bucket is not None
    http = served(EXPORT_BUCKET="not-there")
    big(http)
    answer = http.get("/api/usage/export")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "setting")
    assert "EXPORT_BUCKET" in answer.text
