"""What the tests of accounts share: the API with a key file, and a fake provider at an address of its own."""

from typing import Any

import httpx

from functions.runtime import App
from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic
from shared.core import jsontext


class World:
    """The API over a database, with a fake provider that stored accounts name as their address."""

    def __init__(self, app: App, fake: FakeAnthropic, http: httpx.Client) -> None:
        self.app, self.fake, self.http = app, fake, http

    def ask(self, method: str, path: str, body: object = None, **params: str) -> tuple[int, Any]:
        content = None if body is None else jsontext.dumps(body)
        answer = self.http.request(method, path, content=content, params=params)
        return answer.status_code, jsontext.loads(answer.content)

    def ok(self, method: str, path: str, body: object = None, **params: str) -> Any:  # noqa: ANN401 - decoded JSON
        status, found = self.ask(method, path, body, **params)
        assert status in {200, 201}, found
        return found

    def refused(self, status: int, method: str, path: str, body: object = None, **params: str) -> str:
        got, found = self.ask(method, path, body, **params)
        assert got == status, found
        assert found["error"]["message"].endswith((".", "?"))
        return str(found["error"]["message"])

    def add(self, name: str = "design", **fields: object) -> dict[str, Any]:
        body = {"name": name, "provider": "anthropic", "credential": ADMIN_KEY, "options": {"base_url": self.fake.url}}
        found: dict[str, Any] = self.ok("POST", "/api/accounts", {**body, **fields})
        return found
