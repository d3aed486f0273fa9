"""What the template allows whom, and where a wildcard has a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.gates.sam import Template, resources, target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TREE = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/ai-cost-tracker/${Stage}/*"

# Every wildcard that a policy may hold, with the reason.
WILDCARDS: Mapping[tuple[str, str], str] = {
    ("ssm:GetParametersByPath", _TREE): "the settings and secrets of this stage, however many there are",
    ("xray:PutTraceSegments", "*"): "X-Ray has no resources to name",
    ("xray:PutTelemetryRecords", "*"): "X-Ray has no resources to name",
}


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every statement of every role and policy, with the logical id of what it is part of."""
    for name, role in resources(template, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            yield from ((name, each) for each in policy["PolicyDocument"]["Statement"])
        yield from ((name, each) for each in role["AssumeRolePolicyDocument"]["Statement"])
    for kind in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
        for name, policy in resources(template, kind).items():
            yield from ((name, each) for each in policy["PolicyDocument"]["Statement"])
    for name, key in resources(template, "AWS::KMS::Key").items():
        # In a key's own policy `*` is that key.
        yield from ((name, {**each, "Resource": "itself"}) for each in key["KeyPolicy"]["Statement"])


def granted(template: Template) -> dict[str, set[str]]:
    """Return what each role or policy may do, as `action on resource`; logical ids stand for their ARNs."""
    found: dict[str, set[str]] = {}
    for name, statement in statements(template):
        for action in _listed(statement["Action"]):
            for resource in _listed(statement.get("Resource", [])):
                found.setdefault(name, set()).add(f"{action} on {target(resource) or _text(resource)}")
    return found


def check_wildcards(template: Template) -> list[str]:
    """No policy allows everything of a kind, but for what WILDCARDS gives a reason for."""
    wrong = []
    for name, statement in statements(template):
        wrong += [
            f"{name} uses {key}, which allows all but a few."
            for key in ("NotAction", "NotResource")
            if key in statement
        ]
        for action in _listed(statement.get("Action", [])):
            wrong += [f"{name} allows {action}; name the actions."] * ("*" in action)
            wrong += [
                f"{name} allows {action} on {text}; name the resource or give a reason in WILDCARDS."
                for text in map(_text, _listed(statement.get("Resource", [])))
                if "*" in text and (action, text) not in WILDCARDS
            ]
        if "*" in _text(statement.get("Principal", "")):
            wrong.append(f"{name} lets in anybody; name the principal.")
    managed = [name for name, role in resources(template, "AWS::IAM::Role").items() if role.get("ManagedPolicyArns")]
    return wrong + [
        f"{name} borrows a managed policy, which allows more than it does; list its actions." for name in managed
    ]


def check_roles(template: Template) -> list[str]:
    """Every function has a role of its own, and nobody else's."""
    roles = {name: target(each["Role"]) for name, each in resources(template, "AWS::Lambda::Function").items()}
    return [
        f"{name} has {role or 'a foreign role'}; give it {name.removesuffix('Function')}Role."
        for name, role in roles.items()
        if role != f"{name.removesuffix('Function')}Role"
    ]


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return " ".join(_text(each) for each in value.values())
    return " ".join(map(_text, value)) if isinstance(value, list) else str(value)
