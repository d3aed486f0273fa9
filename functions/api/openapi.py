"""The OpenAPI 3.1 document, made from the declared routes, and Swagger UI from the assets inside Powertools."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from functions.api.encoding import encode
from functions.api.routing import JSON, Answer, Request, Result, Route, Router, Scope, ShellApp
from functions.api.schemas import ERROR, TEXT, array, schema
from shared import VERSION
from shared.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from functions.api.query import Param

_ASSETS = "aws_lambda_powertools.event_handler.openapi.swagger_ui"
_FILES = {
    "swagger-ui-bundle.min.js": "text/javascript; charset=utf-8",
    "swagger-ui.min.css": "text/css; charset=utf-8",
}
_SCRIPT = """\
window.ui = SwaggerUIBundle({
  url: document.querySelector('meta[name="openapi"]').content,
  dom_id: "#swagger-ui", deepLinking: true, filter: true, tryItOutEnabled: true, persistAuthorization: true
});
"""
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="openapi" content="{base}/openapi.json">
<title>AI Cost Tracker API</title>
<link rel="stylesheet" href="{base}/docs/swagger-ui.min.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{base}/docs/swagger-ui-bundle.min.js"></script>
<script src="{base}/docs/start.js"></script>
</body>
</html>
"""
# The page loads nothing from anywhere else; Swagger UI sets inline styles and draws icons as data.
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"

_TYPES: Mapping[str, Mapping[str, str]] = {
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "flag": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "instant": {"type": "string", "format": "date-time"},
    "zone": {"type": "string"},
}
_PATH_PARAM = re.compile(r"\{(\w+)\}")


def router(routes: Sequence[Route[Any]]) -> Router[ShellApp]:
    """Return the routes that document `routes`, which may still grow."""
    found: Router[ShellApp] = Router("Service")

    @found.get("/openapi.json", scope=Scope.PUBLIC, summary="This document", response=schema({"openapi": TEXT}))
    def openapi_document(request: Request, _app: ShellApp) -> Result:
        return document(routes, request.base_url)

    @found.get(
        "/docs", scope=Scope.PUBLIC, summary="Swagger UI, without a CDN", response=TEXT, content_type="text/html"
    )
    def docs(request: Request, _app: ShellApp) -> Result:
        headers = {"Content-Security-Policy": _POLICY}
        return Answer(_PAGE.format(base=request.base_url), headers=headers, content_type="text/html; charset=utf-8")

    @found.get(
        "/docs/{file}",
        scope=Scope.PUBLIC,
        summary="Scripts and styles of Swagger UI",
        response=TEXT,
        content_type="text/javascript",
        errors=(HTTPStatus.NOT_FOUND,),
    )
    def docs_file(request: Request, _app: ShellApp) -> Result:
        name = request.params["file"]
        headers = {"Cache-Control": "public, max-age=86400"}
        if name == "start.js":
            return Answer(_SCRIPT, headers=headers, content_type=_FILES["swagger-ui-bundle.min.js"])
        if name not in _FILES:
            raise NotFoundError(f"There is no file {request.path[:200]}; the documentation is at /docs.")
        return Answer(_asset(name), headers=headers, content_type=_FILES[name])

    return found


@cache
def _asset(name: str) -> str:
    return resources.files(_ASSETS).joinpath(name).read_text(encoding="utf-8")


def document(routes: Sequence[Route[Any]], base_url: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the service at `base_url`."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, base_url)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AI Cost Tracker",
            "version": VERSION,
            "description": "What AI agents cost: by day, model, session type, project and agent. Money is in USD.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": base_url}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(route: Route[Any], base_url: str) -> dict[str, Any]:
    line = curl(route, base_url)
    needs = "" if route.scope is Scope.PUBLIC else f"Needs a key with the scope `{route.scope.value}`.\n\n"
    text = f"{route.description}\n\n" if route.description else ""
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        "description": f"{text}{needs}```sh\n{line}\n```",
        "parameters": [*_path_parameters(route.path), *(_parameter(param) for param in route.query)],
        "responses": _responses(route),
        "security": [] if route.scope is Scope.PUBLIC else [{"apiKey": []}, {"bearer": []}],
        "x-codeSamples": [{"lang": "cURL", "label": "cURL", "source": line}],
    }
    if route.body is not None:
        media = {"schema": route.body.schema, "example": route.body.example}
        operation["requestBody"] = {"content": {JSON: media}}
    return operation


def _responses(route: Route[Any]) -> dict[str, Any]:
    statuses = {HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR, *route.errors}
    if route.scope is not Scope.PUBLIC:
        statuses |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE}
    if "{" in route.path:
        statuses |= {HTTPStatus.NOT_FOUND}
    if route.body is not None:
        statuses |= {HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
    error = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    answers = {route.status: route.response, **route.also}
    if any(param.name == "shape" for param in route.query):
        answers[route.status] = {"anyOf": [route.response, array({"type": "object"})]}
    responses: dict[str, Any] = {
        str(int(status)): {
            "description": HTTPStatus(status).phrase,
            "content": {
                kind: {"schema": answer_as} for kind, answer_as in {route.content_type: answer, **route.also_as}.items()
            },
        }
        for status, answer in answers.items()
    }
    return responses | {
        str(int(status)): {"description": HTTPStatus(status).phrase, "content": error} for status in sorted(statuses)
    }


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in _PATH_PARAM.findall(path)]


def _parameter(param: Param) -> dict[str, Any]:
    shape: dict[str, Any] = dict(_TYPES[param.kind])
    if param.choices:
        shape["enum"] = list(param.choices)
    if param.default is not None:
        shape["default"] = json.loads(param.default) if param.kind in {"integer", "number", "flag"} else param.default
    limits = {"minimum": param.minimum, "maximum": param.maximum}
    shape |= {key: limit for key, limit in limits.items() if limit is not None}
    names = f" Also accepted as {', '.join(param.aliases)}." if param.aliases else ""
    return {
        "name": param.name,
        "in": "query",
        "required": False,
        "description": param.description + names,
        "schema": {"type": "array", "items": shape} if param.repeatable else shape,
        **({"example": param.example} if param.example is not None else {}),
    }


def curl(route: Route[Any], base_url: str) -> str:
    """Return a line that calls a route, to paste into a shell or N8N's import."""
    pairs = [(param.name, param.example) for param in route.query if param.example is not None]
    url = base_url + route.path + (f"?{urlencode(pairs)}" if pairs else "")
    words = ["curl"]
    if route.method != "GET":
        words += ["-X", route.method]
    if route.scope is not Scope.PUBLIC:
        words += ["-H", '"X-API-Key: $API_KEY"']
    words.append(f"'{url}'")
    if route.body is not None:
        words += ["-H", f"'Content-Type: {JSON}'", "-d", shlex.quote(encode(route.body.example))]
    return " ".join(words)
