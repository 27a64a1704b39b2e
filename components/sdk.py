"""The resources of the SDKs of AWS, EKS and Kubernetes as components use them: `aws`, `eks`, `k8s`.

A type checker sees the SDKs. While the program runs, a resource is registered by its type token instead: the SDKs build
the types of all arguments of a service as soon as one of its classes is used, 0.17 s for `pulumi_aws.ec2` and 0.13 s
for `pulumi_kubernetes.core.v1`, and all together that was a third of `slices plan`. The engine is told the same;
`tests/plan/test_sdk.py` records the stacks with the SDKs' own classes as well, and compares.

What no type checker sees: outputs are there as far as `OUTPUTS` lists them. Providers, functions and enumerations are
the SDKs' own, and not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import pulumi

OUTPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:budgets/budget:Budget": ("name",),
    "aws:cloudwatch/eventRule:EventRule": ("name",),
    "aws:cloudwatch/logGroup:LogGroup": ("arn", "name"),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": ("arn",),
    "aws:dynamodb/table:Table": ("arn", "name"),
    "aws:ec2/launchTemplate:LaunchTemplate": ("latestVersion",),
    "aws:ecr/repository:Repository": ("name", "repositoryUrl"),
    "aws:eks/nodeGroup:NodeGroup": ("resources",),
    "aws:iam/policy:Policy": ("arn",),
    "aws:iam/role:Role": ("arn", "name"),
    "aws:kms/key:Key": ("arn", "keyId"),
    "aws:lb/loadBalancer:LoadBalancer": ("arn", "dnsName", "zoneId"),
    "aws:lb/targetGroup:TargetGroup": ("arn",),
    "aws:s3/bucket:Bucket": ("arn", "bucket"),
    "aws:sns/topic:Topic": ("arn",),
    "aws:sqs/queue:Queue": ("arn", "url"),
    "eks:index:Cluster": ("clusterSecurityGroupId", "kubeconfigJson"),
}
"""Outputs that components read, besides `id`, by type token."""

#: API groups whose module in the SDK has another name. Helm's releases are no objects of the API.
_GROUPS: Final = {
    "admissionregistration": "admissionregistration.k8s.io",
    "networking": "networking.k8s.io",
    "rbac": "rbac.authorization.k8s.io",
    "resource": "resource.k8s.io",
    "scheduling": "scheduling.k8s.io",
    "storage": "storage.k8s.io",
    "helm": "helm.sh",
}

Register = Callable[..., pulumi.Resource]


@cache
def wire_name(name: str) -> str:
    """The provider's name of an input or output: `cidr_block` is `cidrBlock`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _wired(**given: Any) -> dict[str, Any]:
    """Inputs, or what a class `...Args` of an SDK sends."""
    return {wire_name(name): value for name, value in given.items() if value is not None}


class _ByToken(pulumi.CustomResource):
    """A resource of a provider. `always`: inputs that every one of its type has."""

    def __init__(
        self,
        token: str,
        always: Mapping[str, str],
        logical: str,
        *,
        opts: pulumi.ResourceOptions | None = None,
        **given: Any,
    ) -> None:
        inputs = {**dict.fromkeys(OUTPUTS.get(token, ())), **always, **_wired(**given)}
        super().__init__(token, logical, inputs, opts)
        _shape_outputs(self, token)

    def __getattr__(self, name: str) -> Any:
        return _output(self, name)


class _Custom(_ByToken):
    """An object of a custom resource definition."""

    def __init__(self, logical: str, *, opts: pulumi.ResourceOptions | None = None, **given: Any) -> None:
        super().__init__(f"kubernetes:{given['api_version']}:{given['kind']}", {}, logical, opts=opts, **given)


class _Remote(pulumi.ComponentResource):
    """A component that a plugin builds. It has no provider that could say which: the version of the SDK does."""

    def __init__(self, token: str, logical: str, *, opts: pulumi.ResourceOptions | None = None, **given: Any) -> None:
        opts = pulumi.ResourceOptions.merge(pulumi.ResourceOptions(version=version("pulumi-eks")), opts)
        super().__init__(
            token, logical, {**dict.fromkeys(OUTPUTS.get(token, ())), **_wired(**given)}, opts, remote=True
        )

    def __getattr__(self, name: str) -> Any:
        return _output(self, name)


class _Object(dict[str, Any]):
    """An object in an output: what it holds are attributes, by the names of the SDK."""

    def __getattr__(self, name: str) -> Any:
        return self.get(wire_name(name))


def _output(resource: pulumi.Resource, name: str) -> Any:
    """What `resource.name` is where Python finds no such attribute."""
    output = resource.__dict__.get(wire_name(name))
    if output is None:
        raise AttributeError(f"{type(resource).__name__} has no {name}: list the output in {__name__}")
    return output


def _shape_outputs(resource: pulumi.Resource, token: str) -> None:
    for name in OUTPUTS.get(token, ()):
        resource.__dict__[name] = resource.__dict__[name].apply(_as_sdk)


def _as_sdk(value: Any) -> Any:
    """A value as the SDK gives it. The wire has no integers; an SDK knows from its types which numbers are some."""
    if isinstance(value, Mapping):
        return _Object({key: _as_sdk(item) for key, item in value.items()})
    if isinstance(value, list):
        return [_as_sdk(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _aws(service: str, name: str) -> Register:
    return partial(_ByToken, f"aws:{service}/{name[0].lower()}{name[1:]}:{name}", {})


def _eks(_: str, name: str) -> Register:
    return partial(_Remote, f"eks:index:{name}")


def _k8s(module: str, name: str) -> Register:
    if module == "apiextensions":
        return _Custom
    group, _, number = module.partition(".")
    token = f"kubernetes:{_GROUPS.get(group, group)}/{number}:{name}"
    if group == "helm":
        return partial(_ByToken, token, {"compat": "true"})
    api_version = number if group == "core" else f"{_GROUPS.get(group, group)}/{number}"
    # A patch says of which kind the object is that it changes.
    return partial(_ByToken, token, {"apiVersion": api_version, "kind": name.removesuffix("Patch")})


class _Module:
    """A module of an SDK: modules in it, its resources, and `...Args`, which are plain dicts here."""

    def __init__(self, resource: Callable[[str, str], Register], path: str = "") -> None:
        self._resource = resource
        self._path = path

    def __getattr__(self, name: str) -> Any:
        found: Any
        if name[0].islower():
            found = _Module(self._resource, f"{self._path}.{name}".lstrip("."))
        elif name.endswith("Args"):
            found = _wired
        else:
            found = self._resource(self._path, name)
        setattr(self, name, found)
        return found


if TYPE_CHECKING:
    import pulumi_aws as aws
    import pulumi_eks as eks
    import pulumi_kubernetes as k8s
else:
    aws, eks, k8s = _Module(_aws), _Module(_eks), _Module(_k8s)

__all__ = ["OUTPUTS", "aws", "eks", "k8s", "wire_name"]
