"""Whatever is sent to any route, the answer is one that the OpenAPI document announces, and never a 5xx."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.core import jsontext
from tests.e2e.conftest import API_KEY, Service

# What the document promises about answers. Which bad input is refused is tested route by route: the document says
# less about it (dates that do not exist, cursors) than the routes know.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "allow_header_conformance",
)  # fmt: skip
EXAMPLES = os.environ.get("OPENAPI_EXAMPLES", "4")
# Every combination of edges takes a minute by itself: `make openapi` asks for those too, as CI does.
PHASES = os.environ.get("OPENAPI_PHASES", "examples,fuzzing")


@pytest.fixture(scope="module")
def service(serve: Callable[..., Service], tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A tracker with something of everything, so that lists have rows to be wrong about."""
    service = serve(
        COLLECTION_BACKFILL_DAYS="3",
        KEY_PEPPER="a-pepper-of-the-tests-only",
        COST_TRACKER_HOME=str(tmp_path_factory.mktemp("home")),
    )
    assert service.post("/admin/collect", wait="28")["status"] == "succeeded"
    event = {"model": "gpt-4o", "tokens_in": 1000, "tokens_out": 100, "session_label": "kanban-1", "tags": {"a": "b"}}
    entry = {"service": "perplexity", "date": "2026-11-18", "cost": "12.5"}
    for path, body in (("/api/usage", event), ("/api/usage/manual", entry)):
        assert service.http.post(path, json=body).status_code == 201
    return service


@pytest.mark.parametrize("key", [API_KEY, None], ids=["with a key", "without"])
def test_every_answer_is_as_announced(service: Service, key: str | None, tmp_path: Path) -> None:
    document, report = tmp_path / "openapi.json", tmp_path / "report.json"
    document.write_bytes(service.http.get("/openapi.json").content)
    header = ["--header", f"X-API-Key: {key}"] if key else []
    done = subprocess.run(  # noqa: S603 - our own words
        [
            Path(sys.executable).with_name("st"), "run", document, "--url", str(service.http.base_url), *header,
            "--checks", ",".join(CHECKS), "--phases", PHASES, "--max-examples", EXAMPLES,
            "--seed", "7", "--continue-on-failure", "--no-color", "--report-json-path", report,
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    declared = sum(len(methods) for methods in jsontext.loads(document.read_bytes())["paths"].values())
    assert jsontext.loads(report.read_bytes())["operations"]["tested"] == declared
