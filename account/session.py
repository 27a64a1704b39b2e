"""Asks AWS, and tells what AWS said from what could not be seen.

A question has three kinds of answer: `Found`, `Absent` (AWS says that there is no such thing) and `Unseen` (nobody
knows: denied, throttled, no connection, no credentials). The third is never taken for the second.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from account.commands import Command

T = TypeVar("T")

Cause = Literal["denied", "throttled", "unreachable", "credentials", "refused"]
"""Why something could not be looked at; `refused` is any other error of the service."""


@dataclass(frozen=True)
class Found(Generic[T]):
    """What AWS answered."""

    value: T


@dataclass(frozen=True)
class Absent:
    """AWS says that there is no such thing."""


@dataclass(frozen=True)
class Login:
    """What is the matter with the caller's credentials, in words for after a colon, and the commands that mend it."""

    problem: str
    mend: tuple[Command, ...]


@dataclass(frozen=True)
class Unseen:
    """It could not be looked at.

    permission: the IAM action that looking needs, such as `ec2:DescribeVpcs`.
    detail: AWS' own words, in one line.
    code: AWS' code of the error, empty where no answer came.
    login: of credentials, what is the matter with them and what mends it.
    """

    cause: Cause
    permission: str
    detail: str
    code: str = ""
    login: Login | None = None

    def __str__(self) -> str:
        """`could not be looked at: denied, needs ec2:DescribeVpcs (…)`."""
        match self.cause:
            case "denied":
                why = f"denied, needs {self.permission}"
            case "throttled":
                why = f"AWS took no more calls of {self.permission} for now, try again later"
            case "unreachable":
                why = f"no connection for {self.permission}"
            case "credentials":
                why = f"{self.login.problem if self.login else 'AWS refuses the credentials'}, for {self.permission}"
            case "refused":
                why = f"{self.permission} failed"
        return f"could not be looked at: {why} ({self.detail})"


Answer = Found[T] | Absent | Unseen


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whose credentials these are. arn: a user's, an assumed role's or the root's."""

    account: str
    arn: str

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn`, `aws-us-gov` …"""
        return self.arn.split(":")[1]


#: Error codes by what they mean. Sources: IAM user guide "Troubleshoot access denied error messages", EC2 API
#: reference "Error codes", and botocore's own list of throttling codes (`retries/standard.py`), each read in full.
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "Client.UnauthorizedOperation",
        "ForbiddenException",
        "NotAuthorized",
        "OptInRequired",
        "SubscriptionRequiredException",
        "UnauthorizedAccess",
        "UnauthorizedOperation",
    }
)
_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)

#: Where the name of the service in a signature is not the prefix of its IAM actions (service authorization reference).
_IAM_PREFIX: Mapping[str, str] = {"monitoring": "cloudwatch", "tagging": "tag"}
#: Operations whose IAM action has another name (service authorization reference, "AWS Budgets").
_IAM_ACTION: Mapping[str, str] = {
    "budgets:DescribeBudget": "budgets:ViewBudget",
    "budgets:DescribeBudgets": "budgets:ViewBudget",
    "budgets:DeleteBudget": "budgets:ModifyBudget",
}

_HOME: Mapping[str, str] = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}

#: A question is answered within seconds or not at all.
_CONNECT_SECONDS = 5
_READ_SECONDS = 20
_RETRIES: Mapping[str, Any] = {"mode": "standard", "total_max_attempts": 3}
_PATIENT: Mapping[str, Any] = {"mode": "adaptive", "total_max_attempts": 10}
#: Questions are asked from several threads at once, often of one service.
_CONNECTIONS = 16


ADDRESS_SERVICE = "https://checkip.amazonaws.com"
"""AWS' own, which answers with the public IPv4 address of whoever asks."""
_ADDRESS_SECONDS = 5


def public_address() -> Answer[str]:
    """The IPv4 address from which this machine reaches AWS."""
    import ipaddress  # noqa: PLC0415
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    try:
        with urllib.request.urlopen(ADDRESS_SERVICE, timeout=_ADDRESS_SECONDS) as answer:
            text = answer.read(64).decode("ascii", "replace").strip()
        return Found(str(ipaddress.ip_address(text)))
    except (OSError, ValueError) as error:  # no connection; somebody else's page
        return Unseen("unreachable", ADDRESS_SERVICE, _one_line(error))


class Account:
    """An AWS account, as the caller's credentials see it. Threads may share one.

    Credentials come from where every AWS tool takes them: environment, profile, SSO, container or instance role.
    patient: for many pages of one service; waits as AWS throttles (botocore's adaptive mode) instead of giving up soon.
    """

    def __init__(self, region: str, *, profile: str | None = None, patient: bool = False) -> None:
        self.region = region
        self._retries = _PATIENT if patient else _RETRIES
        self._profile = profile
        self._session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.RLock()

    def has_credentials(self) -> bool:
        """Whether there are credentials at all; whether AWS takes them, `identity` tells."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  slow

        try:
            return self._open().get_credentials() is not None
        except BotoCoreError:
            # Something is configured that does not work, such as a profile that is not there: `identity` tells what.
            return True

    @property
    def home_region(self) -> str:
        """The region of the partition's global services; it is never one that an account must opt in to."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  slow

        try:
            partition = self._open().get_partition_for_region(self.region)
        except BotoCoreError:  # a region that is newer than boto3, or a profile that is not there
            partition = "aws"
        return _HOME.get(partition, self.region)

    def identity(self) -> Answer[Identity]:
        """The caller. STS answers everybody whose credentials are good, without a permission."""
        # At home: elsewhere STS refuses everybody whose account has not opted in to the region.
        match self.ask("sts", "get_caller_identity", region=self.home_region):
            case Found(value):
                return Found(Identity(account=value["Account"], arn=value["Arn"]))
            case other:
                return other

    def ask(
        self,
        service: str,
        operation: str,
        *,
        absent: Collection[str] = (),
        region: str | None = None,
        **parameters: Any,
    ) -> Answer[Mapping[str, Any]]:
        """One answer of AWS, all of its pages together.

        service, operation: boto3's names, such as `ec2`, `describe_vpcs`.
        absent: error codes that say that there is no such thing, such as `ResourceNotFoundException`.
        region: another one than the account's, for services that live in one region only.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  slow

        permission = f"{service}:{_camel(operation)}"
        try:
            client = self.client(service, region)
            permission = iam_action(client, operation)
            if client.can_paginate(operation):
                return Found(client.get_paginator(operation).paginate(**parameters).build_full_result())
            return Found(getattr(client, operation)(**parameters))
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            return Absent() if code in absent else _unseen(code, error, permission)
        except BotoCoreError as error:
            cause = _cause(error)
            words = login(type(error).__name__) if cause == "credentials" else None
            return Unseen(cause, permission, _one_line(error), login=words)

    def collect(
        self,
        service: str,
        operation: str,
        items: str,
        *,
        absent: Collection[str] = (),
        region: str | None = None,
        **parameters: Any,
    ) -> Answer[list[Any]]:
        """As `ask`, but the things themselves: `items` is a JMESPath such as `Reservations[].Instances[]`."""
        import jmespath  # noqa: PLC0415  comes with botocore

        match self.ask(service, operation, absent=absent, region=region, **parameters):
            case Found(value):
                return Found(list(jmespath.search(items, value) or []))
            case other:
                return other

    def client(self, service: str, region: str | None = None) -> Any:
        """boto3's client, made once. Raises BotoCoreError where there is no such profile, region or service."""
        key = (service, region or self.region)
        with self._lock:  # boto3 makes clients in one thread at a time only
            if key not in self._clients:
                from botocore.config import Config  # noqa: PLC0415  slow

                self._clients[key] = self._open().client(
                    service,
                    region_name=key[1],
                    config=Config(
                        connect_timeout=_CONNECT_SECONDS,
                        read_timeout=_READ_SECONDS,
                        retries=dict(self._retries),
                        max_pool_connections=_CONNECTIONS,
                    ),
                )
            return self._clients[key]

    def _open(self) -> Any:
        with self._lock:
            if self._session is None:
                import boto3  # noqa: PLC0415  slow

                self._session = boto3.Session(profile_name=self._profile, region_name=self.region)
            return self._session


def iam_action(client: Any, operation: str) -> str:
    """The IAM action of an operation, such as `elasticloadbalancing:DescribeLoadBalancers`."""
    prefix = client.meta.service_model.signing_name
    action = f"{_IAM_PREFIX.get(prefix, prefix)}:{client.meta.method_to_api_mapping[operation]}"
    return _IAM_ACTION.get(action, action)


def _camel(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))


def _unseen(code: str, error: Exception, permission: str) -> Unseen:
    causes: list[tuple[Cause, frozenset[str]]] = [
        ("denied", _DENIED),
        ("credentials", _CREDENTIALS),
        ("throttled", _THROTTLED),
    ]
    cause: Cause = next((cause for cause, codes in causes if code in codes), "refused")
    return Unseen(cause, permission, _one_line(error), code, login(code) if cause == "credentials" else None)


def _cause(error: Exception) -> Cause:
    from botocore import exceptions  # noqa: PLC0415  slow

    if isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError):
        return "unreachable"
    credentials = (
        exceptions.ConfigNotFound,
        exceptions.ConfigParseError,
        exceptions.CredentialRetrievalError,
        exceptions.InvalidConfigError,
        exceptions.LoginError,
        exceptions.MetadataRetrievalError,
        exceptions.NoAuthTokenError,
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.ProfileNotFound,
        exceptions.SSOError,
        exceptions.TokenRetrievalError,
    )
    return "credentials" if isinstance(error, credentials) else "refused"


_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
#: Classes of botocore about a login that is not there or too old, such as SSOTokenLoadError.
_LOGIN_ERROR = re.compile(r"(SSO|Token|Login).*Error$")
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def login(error: str = "NoCredentialsError") -> Login:
    """What is the matter, and what to run. error: AWS' code, or the name of botocore's class."""
    profile = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    sign_in: Command = ("aws", "sso", "login", *(("--profile", profile) if profile else ()))
    choose: tuple[Command, ...] = (("aws", "configure", "list-profiles"), ("export", "AWS_PROFILE=NAME"))
    if error == "ProfileNotFound":
        return Login(f"there is no profile {profile}, which AWS_PROFILE names", choose)
    if error == "NoCredentialsError":
        where = f"profile {profile} has none" if profile else f"neither AWS_PROFILE nor {_KEYS[0]} is set"
        return Login(f"AWS credentials are missing: {where}", (*(() if profile else choose), sign_in))
    # Keys in the environment come before a profile.
    keys = _KEYS[0] in os.environ
    whose = _KEYS[0] if keys else f"profile {profile}" if profile else "the default profile"
    mend: tuple[Command, ...] = (("unset", *_KEYS), sign_in) if keys else (sign_in,)
    if error == "PartialCredentialsError":
        return Login(f"half of the AWS credentials of {whose} is missing", (("aws", "configure", "list"), *mend))
    if error in _EXPIRED or _LOGIN_ERROR.search(error):
        return Login(f"the login of {whose} has expired, or there is none", mend)
    return Login(f"AWS does not take the credentials of {whose}", (("aws", "configure", "list"), *mend))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
