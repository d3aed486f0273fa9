from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.unit.shell_app import make_client


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    with make_client(None) as api:
        found: dict[str, Any] = api.get("/openapi.json").json()
        return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, found) for path, methods in document["paths"].items() for method, found in methods.items()]


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_it_describes_every_route(document: dict[str, Any]) -> None:
    with make_client(None) as api:
        listed = {(route["path"], route["method"].lower()) for route in api.get("/").json()["routes"]}
    assert {(path, method) for path, method, _ in operations(document)} == listed
    ids = [operation["operationId"] for *_, operation in operations(document)]
    assert len(set(ids)) == len(ids)


def test_every_operation_says_what_it_needs_and_how_it_fails(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        is_public = operation["security"] == []
        assert operation["summary"]
        assert ("401" in operation["responses"]) != is_public
        assert {"400", "500"} <= set(operation["responses"])
        assert re.findall(r"\{(\w+)\}", path) == [
            parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"
        ]


def test_parameters(document: dict[str, Any]) -> None:
    found = {parameter["name"]: parameter for parameter in document["paths"]["/echo/{name}"]["get"]["parameters"]}
    assert found["limit"]["schema"] == {"type": "integer", "default": 100, "minimum": 1, "maximum": 1000}
    assert found["model"]["schema"] == {"type": "array", "items": {"type": "string"}}
    assert found["group_by"]["schema"]["enum"] == ["day", "week"]
    assert "start_date" in found["start"]["description"]


def test_every_operation_has_a_curl_line(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        line = operation["x-codeSamples"][0]["source"]
        words = shlex.split(line)
        assert words[0] == "curl"
        assert any(word.startswith(f"http://api.test{path}") for word in words)
        assert method == "get" or words[words.index("-X") + 1] == method.upper()
        assert ("X-API-Key: $API_KEY" in words) == bool(operation["security"])
        assert line in operation["description"]
    body = shlex.split(document["paths"]["/body"]["post"]["x-codeSamples"][0]["source"])
    assert body[-1] == '{"cost":0.5,"note":"it\'s"}'


def test_swagger_ui_comes_from_here() -> None:
    with make_client(None) as api:
        page = api.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'self'" in page.headers["content-security-policy"]
        links = re.findall(r'(?:src|href|content)="(http[^"]+)"', page.text)
        assert len(links) == 4
        for link in links:
            assert link.startswith("http://api.test/")
            response = api.get(link)
            assert (response.status_code, len(response.content) > 100) == (200, True)
        assert "SwaggerUIBundle" in api.get("/docs/swagger-ui-bundle.min.js").text
        assert api.get("/docs/..%2fapp.py").status_code == 404
        assert api.get("/docs/__init__.py").status_code == 404
