"""OpenRouter's keys and workspaces as names, whose a management key is, and the credits that are left."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.errors import MalformedResponseError, WrongKindError
from shared.providers.diagnosis import WRONG_KIND, diagnose
from shared.providers.openrouter import ACTIVITY, SPEC, OpenRouter
from tests.fixtures.providers.openrouter_answers import DAYS, Answers, Json
from tests.fixtures.providers.recording import reply, scripted
from tests.fixtures.providers.wire import KEY, Time, refused


def key(name: str, space: str = "w1", **more: object) -> Json:
    return {"hash": f"hash-{name}", "name": name, "label": f"sk-or-{name}", "workspace_id": space, **more}


def space(name: str) -> Json:
    return {"id": name, "name": name.upper()}


def named(answers: Answers) -> list[tuple[str, str, bool]]:
    return [(one.kind, one.name, one.archived) for one in answers.connect().names()]


def asking(*answers: httpx.Response) -> OpenRouter:
    transport, _ = scripted(*answers)
    return OpenRouter(KEY, "https://openrouter.ai/api/v1", httpx.Client(transport=transport), Time().budget())


def self_said(**said: Any) -> OpenRouter:  # noqa: ANN401 - JSON
    return asking(reply({"data": {"label": "sk-or-v1-1a2...9z8", **said}}))


def test_lists_go_on_by_offset_until_nothing_new_comes() -> None:
    answers = Answers([], keys=[key("a"), key("b"), key("c")])
    assert named(answers) == [("key", name, False) for name in "abc"]
    assert [path.rpartition("true")[2] for path in answers.asked[1:]] == ["", "&offset=2", "&offset=3"]


def test_a_list_that_moves_on_while_it_is_read_names_nobody_twice() -> None:
    class Moving(Answers):
        def _answer(self, request: httpx.Request) -> httpx.Response:
            answer = super()._answer(request)
            if len(self.asked) == 2:
                self.keys.insert(0, key("new"))
            return answer

    assert named(Moving([], keys=[key("a"), key("b"), key("c")])) == [("key", name, False) for name in "abc"]


def test_a_list_without_an_end_is_refused() -> None:
    class Endless(Answers):
        def _answer(self, request: httpx.Request) -> httpx.Response:
            self.keys = [key(f"{len(self.asked)}")]
            return super()._answer(httpx.Request("GET", request.url.copy_remove_param("offset")))

    error = refused(MalformedResponseError, Endless([], keys=[]).connect().names)
    assert "/keys has not ended" in str(error)


def test_every_workspace_is_asked_for_its_keys_and_the_default_one_once() -> None:
    answers = Answers([], keys=[key("a"), key("b", "w2"), key("c", "w9")], spaces=[space("w1"), space("w2")])
    assert named(answers) == [
        ("key", "a", False),
        ("key", "b", False),
        ("workspace", "W1", False),
        ("workspace", "W2", False),
    ]
    assert [path.rpartition("workspace_id=")[2] for path in answers.asked if "workspace_id" in path] == [
        "w2",
        "w2&offset=1",
    ]


def test_disabled_and_expired_keys_are_archived() -> None:
    keys = [
        key("off", disabled=True),
        key("over", expires_at="2026-03-04T11:59:59Z"),
        key("later", expires_at="2026-03-05T00:00:00Z"),
    ]
    assert named(Answers([], keys=keys)) == [("key", "off", True), ("key", "over", True), ("key", "later", False)]


def test_a_key_is_called_by_what_there_is() -> None:
    keys = [key("", label="sk-or-v1-abc...123"), {"hash": "f00", "workspace_id": "w1"}]
    assert [name for _, name, _ in named(Answers([], keys=keys))] == ["sk-or-v1-abc...123", "f00"]


def test_lists_are_read_once_for_names_and_activity() -> None:
    answers = Answers([], {"a": []})
    provider = answers.connect()
    provider.names()
    first = len(answers.asked)
    provider.fetch(ACTIVITY, DAYS, None)
    assert all(path.startswith("/activity") for path in answers.asked[first:])


def test_a_key_for_inference_says_so_itself() -> None:
    provider = self_said(is_management_key=False, is_provisioning_key=False, creator_user_id="user_1")
    error = refused(WrongKindError, provider.owner)
    assert SPEC.key_needed in str(error)
    found = diagnose(SPEC, KEY.removeprefix("sk-ant-"), error)
    assert (found.code, found.message) == (
        WRONG_KIND,
        "This is a key for inference, which cannot read OpenRouter's reports.",
    )
    assert "management key" in found.advice


@pytest.mark.parametrize("said", [{"is_management_key": True}, {"is_provisioning_key": True}, {}])
def test_an_organisation_is_known_by_its_id(said: dict[str, bool]) -> None:
    owner = self_said(organization_id="org_1", creator_user_id="user_1", **said).owner()
    assert (owner.id, owner.name) == ("org_1", "the organisation org_1")


def test_a_person_is_known_by_what_does_not_name_them() -> None:
    one, two, other = (
        self_said(organization_id=None, creator_user_id=user, label=label).owner()
        for user, label in (("user_1", "a"), ("user_1", "b"), ("user_2", "a"))
    )
    assert one.id == two.id != other.id
    assert "user_1" not in f"{one}"
    assert one.name == "the account of the key a"


def test_a_key_of_nobody_is_refused() -> None:
    refused(MalformedResponseError, self_said(organization_id=None, creator_user_id=None).owner)


def test_more_credits_may_be_used_than_there_were() -> None:
    (left,) = asking(reply({"data": {"total_credits": 10, "total_usage": 10.5}})).balances()
    assert (left.currency, str(left.available), left.called) == ("USD", "-0.5", "credits")
