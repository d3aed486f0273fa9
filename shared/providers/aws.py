"""AWS Bedrock: tokens from CloudWatch, by the hour, and the bill from Cost Explorer, by the day, for one AWS account.

All of an account's regions are one account here, with one bill, so that nothing can be counted or billed twice.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from shared.errors import CredentialError, CursorRefusedError
from shared.providers import aws_bill, aws_usage
from shared.providers.aws_bill import DAY
from shared.providers.aws_credentials import AMBIENT, read_credential
from shared.providers.aws_series import Series, series
from shared.providers.aws_usage import HOUR
from shared.providers.aws_wire import Aws
from shared.providers.base import Bucket, Name, Owner, Page, Row, Stream, Window
from shared.providers.payload import Payload, check_window, read
from shared.providers.spec import Option, ProviderSpec, WrongKey

if TYPE_CHECKING:
    import httpx

    from shared.providers.http import Budget

# What CloudWatch names is what had figures within two weeks; a day less, for its clock is not ours.
_NAMED = timedelta(days=13)
# One question holds 100,800 figures in an answer; a fortnight of 300 series fits into one.
_SPAN = timedelta(days=14)
USAGE = Stream("usage", HOUR, lag=HOUR, history=timedelta(days=455), forgets_after=_NAMED)
# Cost Explorer is refreshed up to three times a day, and a day's bill complete a day or two later. Each look costs two
# cents, so it is asked once for every day that ended, some hours after it did.
COSTS = Stream(
    "costs", DAY, lag=2 * DAY, is_bill=True, is_final_only=True, history=timedelta(days=395), rest=timedelta(hours=30)
)

_REGION = r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}"
_ITS_OWN = "https://amazonaws.com"


class _Identity(Payload):
    Account: Annotated[str, Field(pattern=r"^[0-9]{12}$")]


class AwsBedrock:
    """One AWS account, in the regions that its option names."""

    name = "aws"

    def __init__(
        self,
        key: str,
        base_url: str,
        http: httpx.Client,
        budget: Budget,
        *,
        region: str,
        bill: str = "yes",
        role_arn: str | None = None,
    ) -> None:
        self._regions = tuple(dict.fromkeys(one.strip() for one in region.split(",")))
        credential = read_credential(key, SPEC.key_needed)
        endpoint = None if base_url == _ITS_OWN else base_url
        if credential is None and endpoint is not None:
            raise CredentialError("What this machine may do is for AWS itself: ambient goes with no base_url.")
        self._aws = Aws(
            credential,
            self._regions[0],
            http,
            budget,
            needed=SPEC.key_needed,
            endpoint=endpoint,
            role_arn=role_arn,
        )
        self._is_ambient = credential is None
        self._account: str | None = None
        self._series: tuple[Series, ...] | None = None
        usage = replace(USAGE, part=("region", frozenset(self._regions)))
        self.streams: tuple[Stream, ...] = (usage, COSTS) if bill == "yes" else (usage,)

    def owner(self) -> Owner:
        """Return the AWS account, known by its number; raises as `Provider.fetch` does.

        Everybody may ask for that, so keys are tried for what they are here for as well. What a machine may do is
        left to be seen: another one may try it than the one that collects.
        """
        account = self._number()
        if not self._is_ambient:
            self._named()
        return Owner(account, f"the AWS account {account}")

    def names(self) -> tuple[Name, ...]:
        """Return the projects of the newer endpoint that had usage lately, under their ids; raises as `fetch`."""
        projects = sorted({one.project for one in self._named() if one.project})
        return tuple(Name("workspace", project, project) for project in projects)

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        """Read one page; see `Provider.fetch`. A page of usage is a fortnight, the bill is one page."""
        check_window(window, stream.grain)
        if stream.is_bill:
            return aws_bill.fetch(self._aws, self._number(), window)
        start = window.start if cursor is None else _read_cursor(cursor, window)
        part = Window(start, min(start + _SPAN, window.end))
        rows = aws_usage.fetch(self._aws, self._named(), part)
        return Page(rows, part.end.isoformat() if part.end < window.end else None, (part.start, part.end))

    def parse(self, stream: Stream, row: Row) -> Bucket:
        """Turn a row into a bucket; see `Provider.parse`."""
        if stream.is_bill:
            return aws_bill.charged(row, read(aws_bill.CostRow, row.raw, "A line of AWS's bill"))
        return aws_usage.counted(row, read(aws_usage.UsageRow, row.raw, "An hour of Amazon CloudWatch"))

    def _number(self) -> str:
        if self._account is None:
            answer = self._aws.call("sts", "get_caller_identity", {})
            self._account = read(_Identity, answer, "AWS STS's GetCallerIdentity").Account
        return self._account

    def _named(self) -> tuple[Series, ...]:
        if self._series is None:
            self._series = series(self._aws, self._regions)
        return self._series


def _read_cursor(cursor: str, window: Window) -> datetime:
    try:
        start = datetime.fromisoformat(cursor)
        check_window(Window(start, window.end), HOUR)
    except (ValueError, TypeError) as error:
        raise CursorRefusedError("This is no place in a report of AWS Bedrock.") from error
    if start <= window.start:
        raise CursorRefusedError("This place is not inside the window that is read.")
    return start


SPEC = ProviderSpec(
    name=AwsBedrock.name,
    title="AWS Bedrock",
    make=AwsBedrock,
    base_url=_ITS_OWN,
    key_settings=(),
    key_needed=(
        "AWS Bedrock needs ACCESS_KEY_ID:SECRET_ACCESS_KEY of an IAM user (and :SESSION_TOKEN if they expire) that may "
        "call cloudwatch:ListMetrics, cloudwatch:GetMetricData, ce:GetDimensionValues and ce:GetCostAndUsage, or the "
        f"word {AMBIENT} where the tracker itself runs as somebody who may."
    ),
    wrong_keys=(
        WrongKey("ABSK", "an API key of Bedrock"),
        WrongKey("bedrock-api-key-", "an API key of Bedrock"),
        WrongKey("sk-ant-", "a key of Anthropic"),
    ),
    options=(
        Option(
            "region",
            "The regions whose usage is read, such as eu-central-1,us-east-1.",
            is_required=True,
            pattern=f"{_REGION}(?: ?, ?{_REGION})*",
            example="eu-central-1,us-east-1",
        ),
        Option("bill", "Whether Cost Explorer is asked for the bill (two cents a day).", choices=("yes", "no")),
        Option(
            "role_arn",
            "A role to take on before asking, such as arn:aws:iam::123456789012:role/costs.",
            pattern=r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+",
            example="arn:aws:iam::123456789012:role/costs",
        ),
    ),
)
