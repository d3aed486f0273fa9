"""What the functions are called with, as types: whatever else arrives is refused with a sentence that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.core.periods import parse_instant
from shared.errors import CostTrackerError

if TYPE_CHECKING:
    from datetime import datetime

E = TypeVar("E", bound=BaseModel)


class EventError(CostTrackerError):
    """Send the event that the message describes."""


class _Event(BaseModel):
    # The input is left out of errors: a custom resource's holds a signed address, a request's a key.
    # Built by its first use: a request of the API, which waits for this module, uses none of these.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class _AwsEvent(_Event):
    # AWS adds fields when it likes.
    model_config = ConfigDict(extra="ignore")


def _instant(value: object) -> object:
    return parse_instant(value) if isinstance(value, str) else value


class Work(_Event):
    """What the worker is asked: `{"run": id}` by the API; `{"time": instant}` by the schedule; `{}` for now by hand."""

    run: Annotated[int, Field(ge=1, strict=True)] | None = None
    time: Annotated[AwareDatetime, BeforeValidator(_instant)] | None = None


class Scheduled(_Event):
    """What a schedule sends: the instant it was due, so that a retry works on the window it was meant for."""

    time: Annotated[AwareDatetime, BeforeValidator(_instant)] | None = None


class CustomResource(_AwsEvent):
    """CloudFormation's request: who can be answered is answered, so what it asks is not checked here.

    `ResponseURL` is signed, so its holder can answer: it is never shown.
    """

    request_type: str = Field(alias="RequestType")
    response_url: str = Field(alias="ResponseURL", repr=False, min_length=1)
    stack_id: str = Field(alias="StackId")
    request_id: str = Field(alias="RequestId")
    logical_id: str = Field(alias="LogicalResourceId")
    physical_id: str | None = Field(alias="PhysicalResourceId", default=None)
    properties: dict[str, Any] = Field(alias="ResourceProperties", default_factory=dict)


def work(event: object) -> Work:
    """Return what the worker is asked.

    Raises:
        EventError: something else arrived.
    """
    asked = _read(Work, event, 'Send {"run": <id of a run>}, {"time": "<instant>"}, or {} to collect now')
    if asked.run is not None and asked.time is not None:
        raise EventError('Send {"run": ...} or {"time": ...}, not both.')
    return asked


def scheduled(event: object) -> datetime | None:
    """Return the instant (aware) that a schedule's event was due, None where it was sent by hand as `{}`.

    Raises:
        EventError: something else arrived.
    """
    return _read(Scheduled, event, 'Send {"time": "<instant>"}, or {} for now').time


def custom_resource(event: object) -> CustomResource:
    """Return CloudFormation's request.

    Raises:
        EventError: something else arrived.
    """
    return _read(CustomResource, event, "Only CloudFormation invokes this function, for a Custom::Migrate resource")


def of_request(event: object) -> str:
    """Return the id that API Gateway gave a request: the correlation id of its log lines.

    Raises:
        EventError: it is not a request of an HTTP API in payload format 2.0.
    """
    found = event.get("requestContext", {}).get("requestId") if isinstance(event, dict) else None
    if not isinstance(event, dict) or event.get("version") != "2.0" or not isinstance(found, str):
        raise EventError("Only an API Gateway HTTP API with payload format 2.0 invokes this function; send its event.")
    return found


def of_work(event: object) -> str | None:
    """Return the correlation id of the worker's log lines: the run, else the scheduled time, as sent."""
    if not isinstance(event, dict):
        return None
    return f"run-{event['run']}" if "run" in event else of_schedule(event)


def of_schedule(event: object) -> str | None:
    """Return the scheduled time as it was sent, None where there is none."""
    return str(event["time"]) if isinstance(event, dict) and "time" in event else None


def of_resource(event: object) -> str | None:
    """Return the id of CloudFormation's request, None where there is none."""
    return str(event["RequestId"]) if isinstance(event, dict) and "RequestId" in event else None


def _read(kind: type[E], event: object, hint: str) -> E:
    try:
        return kind.model_validate(event)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the event"
        raise EventError(f"{hint}; {where}: {first['msg'][0].lower()}{first['msg'][1:]}.") from None
