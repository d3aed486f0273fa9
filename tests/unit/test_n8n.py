"""The importable workflows ask for routes and parameters that exist, and every node is connected."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from functions.api.main import ROUTERS

FOLDER = Path(__file__).parents[2] / "infra" / "n8n"
WORKFLOWS = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
ROUTES = {route.path: route for router in ROUTERS for route in router.routes if route.method == "GET"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_requests_are_ones_we_answer(name: str) -> None:
    requests = [node for node in WORKFLOWS[name]["nodes"] if node["type"].endswith(".httpRequest")]
    assert requests
    for node in requests:
        parameters: dict[str, Any] = node["parameters"]
        path = re.sub(r"^=\{\{.*?\}\}", "", parameters["url"])
        known = {name for param in ROUTES[path].query for name in (param.name, *param.aliases)}
        assert {asked["name"] for asked in parameters["queryParameters"]["parameters"]} <= known
        assert parameters["genericAuthType"] == "httpHeaderAuth"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_node_is_connected(name: str) -> None:
    workflow = WORKFLOWS[name]
    nodes = {node["name"] for node in workflow["nodes"]}
    reached = {link["node"] for out in workflow["connections"].values() for links in out["main"] for link in links}
    triggers = {node["name"] for node in workflow["nodes"] if node["type"].endswith("Trigger")}
    assert reached | triggers == nodes


def test_there_is_a_workflow() -> None:
    assert WORKFLOWS
