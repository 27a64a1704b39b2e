"""Types of single values in stack files, with what YAML and Pulumi make of them on the way."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

import versions
from config.errors import hint
from gpu.checkpoints import MAX_PREFIX, PREFIX
from gpu.naming import MAX_NAME, NAME


@dataclass(frozen=True)
class Form:
    """How a value is written, in a few words, where its key alone does not tell (docs/configuration.md)."""

    words: str


#: A date, as people write it and as it arrives when it stands without quotes: the Pulumi CLI prints YAML's time stamp
#: the way Go does (pulumi/pulumi sdk/go/common/resource/config/object.go), other parsers as ISO 8601.
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T00:00:00(?:\.0+)?(?:Z|\+00:00)| 00:00:00 \+0000 UTC)?")


def _tuple(value: Any) -> Any:
    """YAML has lists only; strict mode wants the tuple that the field says."""
    return tuple(value) if isinstance(value, list) else value


def _date(value: Any) -> Any:
    """Dates come as text from Pulumi's configuration, as dates from a YAML parser."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    try:
        return date.fromisoformat(found[1] if found else "")
    except ValueError:
        raise PydanticCustomError("iso_date", "must be a date, as YYYY-MM-DD") from None


def _quoted(example: str) -> BeforeValidator:
    """Refuses a version that YAML has read as a number."""

    def read(value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            message = 'must be in quotes, such as "{example}": YAML reads it as a number'
            raise PydanticCustomError("unquoted", message, {"example": example})
        return value

    return BeforeValidator(read)


def _whole(value: Any) -> Any:
    """Pulumi hands numbers over as JSON: 4.0 is the whole number 4, True is not 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise PydanticCustomError("one_line", "must be one line of text")
    return value


def _deliverable(value: str) -> str:
    """RFC 5321, 4.5.3.1.1: what the pattern cannot count."""
    if len(value.partition("@")[0]) > MAX_LOCAL_PART:
        raise PydanticCustomError(
            "local_part", "must have at most {most} characters before @", {"most": MAX_LOCAL_PART}
        )
    return value


def _nameable(value: str) -> str:
    """Longest name of an image: RepositoryNameTotalLengthMax in github.com/distribution/reference."""
    name = re.sub(_AFTER_NAME, "", value)
    if len(name) > MAX_IMAGE_NAME:
        most = {"most": MAX_IMAGE_NAME}
        raise PydanticCustomError("image_name", "must have at most {most} characters before its tag or digest", most)
    return value


def _encodable(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("not_text", "must be a text: it holds half of a character") from None
    return value


def _more_than_zero(value: str) -> str:
    if not re.search(r"[1-9]", value):
        raise PydanticCustomError("zero", "must be more than 0: to Kubernetes, a limit of 0 is none")
    return value


def _more_than_nothing(value: str) -> str:
    if not re.search(r"[1-9]", value):
        raise PydanticCustomError("zero", "must be more than 0")
    return value


def _known_time_zone(value: str) -> str:
    """Kubernetes refuses a CronJob with any other; without tz data on this machine nothing is known."""
    known = available_time_zones()
    if known and value not in known:
        raise PydanticCustomError(
            "time_zone", "is no time zone of the IANA database{hint}", {"hint": hint(value, known)}
        )
    return value


def _fitting(value: str, pattern: str, what: str) -> str:
    if not re.fullmatch(pattern, value):
        raise PydanticCustomError("form", "must be {what}", {"what": what})
    return value


def _variable(value: str) -> str:
    return _fitting(value, r"[A-Za-z_][A-Za-z0-9_.-]{0,252}", "the name of a variable, such as LOG_LEVEL")


def _metric(value: str) -> str:
    return _fitting(value, r"[A-Za-z_:][A-Za-z0-9_:]{0,252}", "the name of a metric, such as requests_in_flight")


def _object_name(value: str) -> str:
    what = "the name of an object in the cluster: lower-case letters, digits, hyphens and dots"
    return _fitting(value, rf"(?=.{{1,253}}$){SUBDOMAIN}", what)


def _namespace(value: str) -> str:
    what = "the name of a namespace: at most 63 lower-case letters, digits and hyphens"
    return _fitting(value, r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?", what)


def _bucket(value: str) -> str:
    """S3 user guide, "General purpose bucket naming rules": what the pattern cannot say."""
    if ".." in value or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", value):
        raise PydanticCustomError("bucket", "must hold no two dots side by side, and be no IP address")
    return value


def _data_key(value: str) -> str:
    return _fitting(
        value, r"(?!\.$|\.\.)[-._A-Za-z0-9]{1,253}", "a key of its data: letters, digits, hyphens, underscores and dots"
    )


def _port_name(value: str) -> str:
    """IANA's service name, RFC 6335 5.1."""
    what = "a port's name: at most 15 lower-case letters, digits and single hyphens, with a letter"
    return _fitting(value, r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?", what)


def _label_key(value: str) -> str:
    """A qualified name: apimachinery pkg/util/validation, IsQualifiedName."""
    what = "a label's key: letters, digits, - _ and ., perhaps with a domain and / before it"
    return _fitting(value, LABEL_NAME.pattern, what)


def _label_value(value: str) -> str:
    what = "a label's value: at most 63 letters, digits, - _ and ."
    return _fitting(value, LABEL_VALUE.pattern, what)


def _path(value: str) -> str:
    return _fitting(value, r"/[!-9;-~]{0,500}", "a path from the root, such as /models, without a colon")


def _serves_v1(value: str) -> str:
    """NodePools and classes of ours are of karpenter.sh/v1."""
    if value.startswith("0."):
        raise PydanticCustomError("karpenter", "is before 1.0, which serves no karpenter.sh/v1: raise Karpenter")
    return value


def _node_labels(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not LABEL_NAME.fullmatch(name) or not LABEL_VALUE.fullmatch(text):
            message = "holds {label}, which is no label: at most 63 letters, digits, - _ and ., before / a domain"
            raise PydanticCustomError("label", message, {"label": f"{name}: {text!r}"})
    return value


def _selecting_tags(value: dict[str, str]) -> dict[str, str]:
    """What an EC2NodeClass takes (karpenter-provider-aws, v1 `SubnetSelectorTerm.Tags`), and EC2 as a tag."""
    if len(value) > MAX_SELECTING_TAGS:
        raise PydanticCustomError("tags", "must be {most} tags or fewer", {"most": MAX_SELECTING_TAGS})
    for name, text in value.items():
        if not name or not text or len(text) > MAX_TAG_VALUE:
            message = "holds {tag}, but Karpenter wants a name and a value, * for any"
            raise PydanticCustomError("tags", message, {"tag": f"{name!r}: {text!r}"})
    return value


def _http_path(value: str) -> str:
    return _fitting(value, r"/[!-~]{0,500}", "a path from the root, such as /health")


def _sub_path(value: str) -> str:
    what = "a path within the volume, without .. and not from the root"
    return _fitting(value, r"(?!/)(?!(.*/)?\.\.(/|$))[!-~]{1,500}", what)


@cache
def available_time_zones() -> Sequence[str]:
    """Names of all time zones, sorted; without what some machines keep beside them, such as localtime."""
    return sorted(name for name in zoneinfo.available_timezones() if name[0].isupper())


Int = Annotated[int, BeforeValidator(_whole)]
Date = Annotated[date, BeforeValidator(_date)]
Version = Annotated[str, _quoted(versions.EKS_DEFAULT_VERSION)]

#: DNS-1123 subdomains, of at most 253 characters, as Kubernetes has them (apimachinery pkg/util/validation).
SUBDOMAIN: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
#: Kubernetes' label names and values.
LABEL_NAME: Final = re.compile(rf"((?=[^/]{{1,253}}/){SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?")
LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
NodeLabels = Annotated[dict[str, str], AfterValidator(_node_labels)]
MAX_SELECTING_TAGS = 20
SelectingTags = Annotated[dict[str, str], AfterValidator(_selecting_tags)]
#: Longest value of an AWS tag, in characters.
MAX_TAG_VALUE = 256
Name = Annotated[str, StringConstraints(pattern=NAME, max_length=MAX_NAME)]
#: Of any EKS cluster (EKS API reference, CreateCluster).
ClusterName = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$")]
#: Of an IAM role, without its path (IAM API reference, CreateRole).
RoleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+=,.@-]{1,64}$")]
#: 8 digits, or since 2018 17 (EC2 user guide, "Resource IDs").
VpcId = Annotated[str, StringConstraints(pattern=r"^vpc-([0-9a-f]{8}|[0-9a-f]{17})$")]
SubnetId = Annotated[str, StringConstraints(pattern=r"^subnet-([0-9a-f]{8}|[0-9a-f]{17})$")]
SecurityGroupId = Annotated[str, StringConstraints(pattern=r"^sg-([0-9a-f]{8}|[0-9a-f]{17})$")]
AmiId = Annotated[str, StringConstraints(pattern=r"^ami-([0-9a-f]{8}|[0-9a-f]{17})$")]
#: As EC2NodeClass has it (karpenter.k8s.aws/v1, capacityReservationSelectorTerms).
ReservationId = Annotated[str, StringConstraints(pattern=r"^cr-[0-9a-z]{1,40}$")]
AccountId = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
#: Of Karpenter's chart.
ChartVersion = Annotated[
    str,
    _quoted(versions.KARPENTER_VERSION),
    StringConstraints(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){1,2}$"),
    AfterValidator(_serves_v1),
]
#: A principal in IAM: its path has up to 512 characters, its name up to 64 (CreateRole, CreateUser).
Arn = Annotated[
    str,
    StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/([!-~]{1,510}/)?[A-Za-z0-9_+=,.@-]{1,64}$"),
]
# The grammar of github.com/distribution/reference (regexp.go), by which containerd reads images. What stands before the
# first slash is a registry if it has a dot or a port, or is localhost; only there capitals are allowed.
_LABEL = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = rf"(({_LABEL}\.)+{_LABEL}(:[0-9]{{1,5}})?|{_LABEL}:[0-9]{{1,5}}|localhost)"
_REPOSITORY = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_TAG = r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_AFTER_NAME = rf"({_TAG}|({_TAG})?@sha256:[0-9a-f]{{64}})$"
_IMAGE = rf"^({_REGISTRY}/)?{_REPOSITORY}(/{_REPOSITORY})*{_AFTER_NAME}"
MAX_IMAGE_NAME = 255
#: A registry, and a path in it; what Docker calls a registry must have a dot or a port.
RegistryMirror = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(({_LABEL}\.)+{_LABEL}(:[0-9]{{1,5}})?|{_LABEL}:[0-9]{{1,5}})(/{_REPOSITORY})*$", max_length=150
    ),
]
Image = Annotated[str, StringConstraints(pattern=_IMAGE, max_length=500), AfterValidator(_nameable)]
#: An image, or the word for one that is built here.
BUILD: Final = "build"
BuiltImage = Annotated[
    str, StringConstraints(pattern=rf"^{BUILD}$|{_IMAGE}", max_length=500), AfterValidator(_nameable)
]
#: What Karpenter takes for consolidateAfter, but `Never`; longer figures overflow Go's durations.
Duration = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,5}(s|m|h)){1,3}$")]
#: The same of a node's life, which may have no end.
Lifetime = Annotated[str, StringConstraints(pattern=r"^(([0-9]{1,5}(s|m|h)){1,3}|Never)$")]
#: As EC2NodeClass has it: `family@version`.
AmiAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,20}@[A-Za-z0-9._-]{1,40}$")]
DeviceName = Annotated[str, StringConstraints(pattern=r"^/dev/[a-z0-9]{1,20}$")]
#: AWS Budgets' API says nothing of the form, and mail to an address that does not exist is lost without a word. So: the
#: dot-atoms of RFC 5322 and host names of two labels or more, without quotes, comments and letters beyond ASCII.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DNS_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = rf"^{_ATOM}(\.{_ATOM})*@({_DNS_LABEL}\.)+[A-Za-z]([A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?$"
MAX_LOCAL_PART = 64
Email = Annotated[str, StringConstraints(pattern=_EMAIL, max_length=254), AfterValidator(_deliverable)]
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
#: `mistral:7b`, `hf.co/acme/model:Q4_K_M`, `registry:5000/acme/model`.
OllamaModel = Annotated[
    str, StringConstraints(pattern=rf"^({_PART}(:[0-9]+)?/({_PART}/)*)?{_PART}(:{_PART})?$", max_length=200)
]
Cpu = Annotated[
    str, StringConstraints(pattern=r"^([0-9]{1,6}m|[0-9]{1,3}(\.[0-9]{1,3})?)$"), AfterValidator(_more_than_zero)
]
Memory = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,7}(\.[0-9]{1,3})?(Mi|Gi|M|G)$"), AfterValidator(_more_than_zero)
]
#: As people write memory of a GPU, or as Kubernetes does: `3 GiB`, `3Gi`.
GpuMemory = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,7}(\.[0-9]{1,3})? ?(Mi|Gi|M|G)B?$"), AfterValidator(_more_than_nothing)
]
#: Percent of a GPU; several whole GPUs are more than 100.
GpuShare = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,4}(\.[0-9]{1,2})? ?%$"), AfterValidator(_more_than_nothing)
]
#: sha256 of a model's manifest, as Ollama shows it.
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Domain = Annotated[
    str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$", max_length=200)
]
HostedZone = Annotated[str, StringConstraints(pattern=r"^Z[A-Z0-9]{5,31}$")]
CertificateArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]{36}$")
]
#: 8 digits, or since 2018 17 (EC2 user guide, "Resource IDs").
Snapshot = Annotated[str, StringConstraints(pattern=r"^snap-([0-9a-f]{8}|[0-9a-f]{17})$")]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
TimeZone = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$", max_length=64),
    AfterValidator(_known_time_zone),
]
#: Names and paths of Kubernetes', by its own validation (apimachinery pkg/util/validation).
VariableName = Annotated[str, AfterValidator(_variable), Form("name of a variable")]
ObjectName = Annotated[str, AfterValidator(_object_name), Form("name of an object in the cluster")]
LabelKey = Annotated[str, AfterValidator(_label_key), Form("key of a label")]
LabelValue = Annotated[str, AfterValidator(_label_value), Form("value of a label")]
Namespace = Annotated[str, AfterValidator(_namespace), Form("name of a namespace")]
DataKey = Annotated[str, AfterValidator(_data_key), Form("key of the object's data")]
PortName = Annotated[str, AfterValidator(_port_name), Form("name, at most 15 characters")]
AbsolutePath = Annotated[str, AfterValidator(_path), Form("path from the root")]
HttpPath = Annotated[str, AfterValidator(_http_path), Form("path from the root")]
SubPath = Annotated[str, AfterValidator(_sub_path), Form("path within the volume")]
#: As Prometheus has them (data model, "Metric names and labels").
Metric = Annotated[str, AfterValidator(_metric), Form("name of a metric")]
#: S3 user guide, "General purpose bucket naming rules".
Bucket = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"), AfterValidator(_bucket)]
Prefix = Annotated[str, StringConstraints(pattern=PREFIX, max_length=MAX_PREFIX)]
FileSystem = Annotated[str, StringConstraints(pattern=r"^fs-([0-9a-f]{8}|[0-9a-f]{17})$")]
AccessPoint = Annotated[str, StringConstraints(pattern=r"^fsap-([0-9a-f]{8}|[0-9a-f]{17})$")]
Line = Annotated[str, StringConstraints(max_length=MAX_TAG_VALUE), AfterValidator(_one_line)]
Text = Annotated[str, AfterValidator(_encodable)]

List = BeforeValidator(_tuple)
Strings = Annotated[tuple[str, ...], List]
Texts = Annotated[tuple[Text, ...], List]
