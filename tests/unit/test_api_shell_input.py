from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api.encoding import Exact, encode
from functions.api.errors import refuse_unknown
from functions.api.query import Param, Query
from shared.errors import InvalidInputError
from tests.unit.shell_app import make_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx


@pytest.fixture
def api() -> Iterator[httpx.Client]:
    with make_client() as client:
        yield client


# --- query


def test_parameters_become_values(api: httpx.Client) -> None:
    query = (
        "start_date=2026-11-01&tz=europe/berlin&model=a,b&model=c%2Fd&model=c%2Fd&limit=7&least=0.250"
        "&group_by=WEEK&dry_run&since=2026-11-01T00:00:00%2B01:00&end="
    )
    content = api.get(f"/echo/x%20y?{query}").json()
    assert content["name"] == "x y"
    assert (content["start"], content["tz"]) == ("2026-11-01", "Europe/Berlin")
    assert content["models"] == ["a,b", "c/d"]
    assert (content["limit"], content["group_by"], content["dry_run"]) == (7, "week", True)
    assert content["least"] == 0.25
    assert content["since"] == "2026-10-31T23:00:00Z"
    url, _, again = content["next"].partition("?")
    assert url == "http://api.test/echo/x%20y"
    assert parse_qsl(again, keep_blank_values=True) == [*parse_qsl(query, keep_blank_values=True), ("cursor", "a b")]


def test_defaults(api: httpx.Client) -> None:
    content = api.get("/echo/a").json()
    assert (content["limit"], content["start"], content["dry_run"], content["models"]) == (100, None, False, [])


@pytest.mark.parametrize(
    ("query", "field", "part"),
    [
        ("modle=a", "modle", "did you mean model?"),
        ("zzzzzzzz=a", "zzzzzzzz", "known are account, agent"),
        ("start=yesterday", "start", "YYYY-MM-DD"),
        ("start=2026-11-01&start=2026-11-02", "start", "once"),
        ("start=2026-11-01&start_date=2026-11-02", "start", "once"),
        ("tz=Berlin", "tz", "Europe/Berlin"),
        ("limit=0", "limit", "from 1 to 1000"),
        ("limit=1001", "limit", "from 1 to 1000"),
        ("limit=1e2", "limit", "whole number"),
        ("limit=" + "9" * 400, "limit", "whole number"),
        ("least=-1", "least", "at least 0"),
        ("least=NaN", "least", "number"),
        ("dry_run=maybe", "dry_run", "true or false"),
        ("group_by=year", "group_by", "one of day, week"),
        ("since=now", "since", "ISO 8601"),
        ("model=%00", "model", "NUL"),
        ("model=" + "a" * 501, "model", "500 characters"),
    ],
)
def test_what_is_wrong_with_a_parameter(api: httpx.Client, query: str, field: str, part: str) -> None:
    response = api.get(f"/echo/a?{query}")
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "invalid_input"
    assert [detail["field"] for detail in error["details"]] == [field]
    assert part in error["message"]


def test_every_mistake_is_reported_at_once(api: httpx.Client) -> None:
    details = api.get("/echo/a?limit=x&start=y&group_by=z").json()["error"]["details"]
    assert {detail["field"] for detail in details} == {"limit", "start", "group_by"}


def test_queries_that_cannot_be_read(api: httpx.Client) -> None:
    assert "UTF-8" in api.get("/echo/a?model=%ff").json()["error"]["message"]
    assert "1000" in api.get("/echo/a?" + "&".join(["model=a"] * 1001)).json()["error"]["message"]


def test_a_query_knows_its_types() -> None:
    query = Query((Param("a", "A.", "integer"),), [("a", "1")])
    with pytest.raises(TypeError):
        query.get("a", str)
    with pytest.raises(KeyError):
        query.get("b", str)
    with pytest.raises(InvalidInputError, match="Add the parameter a"):
        Query((Param("a", "A."),), []).need("a", str)


@given(st.lists(st.text(max_size=12), max_size=5), st.lists(st.text(max_size=12), max_size=5))
def test_unknown_names_are_always_refused_by_name(given_: list[str], known: list[str]) -> None:
    unknown = set(given_) - set(known)
    if not unknown:
        refuse_unknown("field", given_, known)
        return
    with pytest.raises(InvalidInputError) as refused:
        refuse_unknown("field", given_, known)
    assert {detail["field"] for detail in refused.value.details} == unknown


# --- paths


@pytest.mark.parametrize(("text", "status"), [("7", 200), ("007", 200), ("-7", 404), ("x", 404), ("9" * 30, 404)])
def test_ids_are_whole_numbers(api: httpx.Client, text: str, status: int) -> None:
    assert api.get(f"/rows/{text}").status_code == status


# --- body


@pytest.mark.parametrize(
    "text",
    [
        '{"cost":0.12345678901234567890123,"n":9007199254740993}',
        '[1,2.50,{"a":null,"b":[true,false]}]',
        '{"a":"\\u00fc\\ud83d\\ude00"}',
        "{}",
    ],
)
def test_every_digit_of_a_body_survives(api: httpx.Client, text: str) -> None:
    response = api.post("/body", content=text, headers={"Content-Type": "application/json"})
    assert response.status_code == 201
    expected = json.loads(text, parse_float=Decimal)
    assert json.loads(response.text, parse_float=Decimal)["body"] == expected


@pytest.mark.parametrize("content", [b"", b"  \n", b"\xef\xbb\xbf{}"])
def test_an_empty_body_is_an_empty_object(api: httpx.Client, content: bytes) -> None:
    assert api.post("/body", content=content).json() == {"body": {}}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"{", "valid JSON"),
        (b"{'a': 1}", "valid JSON"),
        (b"a=1&b=2", "valid JSON"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b"[1e999999999999999999999]", "valid JSON"),
        (b"[" + b"9" * 5000 + b"]", "valid JSON"),
        (b"[" * 200_000, "nested"),
        (b"\xff\xfe{}", "UTF-8"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"\\ud800": 1}', "surrogate"),
        (b'{"a": ["\\udfff"]}', "surrogate"),
    ],
)
def test_a_body_that_is_not_json(api: httpx.Client, content: bytes, part: str) -> None:
    response = api.post("/body", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert part in response.json()["error"]["message"]


@pytest.mark.parametrize("content", ["[]", "1", '"a"', "null"])
def test_an_object_is_asked_for(api: httpx.Client, content: str) -> None:
    assert "one JSON object" in api.put("/object", content=content).json()["error"]["message"]


def test_more_than_4_mib_is_413_and_says_how_to_split(api: httpx.Client) -> None:
    assert api.post("/body", content=b'"' + b"a" * (4 * 1024 * 1024 - 2) + b'"').status_code == 201
    response = api.post("/body", content=b"x" * (4 * 1024 * 1024 + 1))
    assert response.status_code == 413
    assert "several requests" in response.json()["error"]["message"]


# --- answers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0.1"), "0.1"),
        (Decimal("1.50"), "1.5"),
        (Decimal(100), "100"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0E-6176"), "0"),
        (Decimal("1E-6176"), "0"),
        (Decimal("-0.0"), "0"),
        (Decimal("0.00000000005"), "0"),
        (Decimal("0.00000000015"), "0.0000000002"),
        (Decimal("-0.000000000051"), "-0.0000000001"),
        (Decimal("123456789012345678901234567890.12345678901"), "123456789012345678901234567890.123456789"),
        (Exact("0.123456789012345678901234567890"), "0.12345678901234567890123456789"),
        (Exact("1E-18"), "0.000000000000000001"),
        (9007199254740993, "9007199254740993"),
        (True, "true"),
        (None, "null"),
        ('ü"\n', '"\\u00fc\\"\\n"'),
        (date(2026, 11, 23), '"2026-11-23"'),
        (datetime(2026, 11, 23, 1, tzinfo=timezone(timedelta(hours=2))), '"2026-11-22T23:00:00Z"'),
        (datetime(2026, 11, 23, 1, 2, 3, 4, tzinfo=UTC), '"2026-11-23T01:02:03.000004Z"'),
        ({"a": (Decimal("2.0"), [])}, '{"a":[2,[]]}'),
    ],
)
def test_what_answers_look_like(value: object, text: str) -> None:
    assert encode(value) == text


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Exact("sNaN"), 0.1, object(), {"a": {1, 2}}])
def test_what_has_no_form_in_json_is_never_sent(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        encode(value)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_money_is_a_plain_number_next_to_its_value(value: Decimal) -> None:
    text = encode(value)
    found: Any = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    assert "e" not in text.lower()
    assert len(text.partition(".")[2]) <= 10
    assert abs(found - value) <= Decimal("5E-11")
    assert json.loads(encode(Exact(value)), parse_float=Decimal, parse_int=Decimal) == value
