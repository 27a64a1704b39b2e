"""Stands in for AWS, EKS and Kubernetes while a program is recorded: what a deployment would answer.

What only a real deployment can know is a *placeholder*: `<Vpc/network.id>` reads "the id of the Vpc called network".
An output that is not listed here stays unknown, as in a preview.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ACCOUNT_ID = "111122223333"
"""Amazon's example account; stands for the reader's own."""
DEFAULT_REGION = "us-east-1"

Inputs = Mapping[str, Any]
Outputs = dict[str, Any]

PLACEHOLDER = re.compile(r"<[\w.-]+/[^<>\n]+\.\w+>")
"""Matches text of the shape of a placeholder."""


def placeholder(type_: str, name: str, attribute: str) -> str:
    """The text that stands for an attribute which only a deployment knows, such as `<Role/node.arn>`."""
    return f"<{type_.rpartition(':')[2]}/{name}.{attribute}>"


class Cloud:
    """Answers registrations and function calls of one program run. Remembers which values only a deployment knows."""

    def __init__(self, *, region: str) -> None:
        self.region = region
        self.placeholders: set[str] = set()
        """Every placeholder that was given out."""
        self.outputs: dict[str, tuple[str, str]] = {}
        """Output values that hold a placeholder, such as a whole ARN, to URN and name of the output."""
        self.unanswered: set[str] = set()
        """Functions that the program called and that nothing is known about."""

    def create(self, urn: str, type_: str, name: str, inputs: Inputs) -> tuple[str, Outputs]:
        """The id of a resource, empty for a component, and what it has besides its inputs."""
        later = _Later(self, type_, name)
        package = type_.partition(":")[0]
        if package == "kubernetes":
            return _kubernetes_object(type_, name, inputs)
        if type_ == "eks:index:Cluster":
            identity, outputs = "", self._eks_cluster(later)
        elif package == "aws":
            identity, outputs = self._aws_resource(type_, inputs, later)
        else:
            identity, outputs = later["id"], {}
        for attribute, value in (("id", identity), *outputs.items()):
            if isinstance(value, str) and PLACEHOLDER.search(value):
                self.outputs.setdefault(value, (urn, attribute))
        return identity, outputs

    def call(self, function: str, arguments: Inputs) -> Outputs:
        """The answer of a provider's function; empty, and noted in `unanswered`, where it is not known."""
        answer = _FUNCTIONS.get(function)
        if answer is None:
            self.unanswered.add(function)
            return {}
        return answer(self, arguments)

    def _arn(self, service: str, resource: str) -> str:
        region = "" if service == "iam" else self.region
        return f"arn:aws:{service}:{region}:{ACCOUNT_ID}:{resource}"

    def _aws_resource(self, type_: str, inputs: Inputs, later: _Later) -> tuple[str, Outputs]:
        kind = _KINDS.get(type_)
        if kind is None:
            service = type_.split(":")[1].partition("/")[0]
            return later["id"], {"arn": self._arn(service, later["id"])}
        outputs: Outputs = {attribute: later[attribute] for attribute in kind.attributes if attribute not in inputs}
        if kind.arn:
            # The name may be known, the ARN as a whole is not: it holds a placeholder in any case.
            service, _, resource = kind.arn.partition(":")
            outputs["arn"] = self._arn(service, resource.format_map(later))
        return outputs["arn"] if kind.identity == "arn" else later[kind.identity], outputs

    def _eks_cluster(self, later: _Later) -> Outputs:
        issuer = f"oidc.eks.{self.region}.amazonaws.com/id/{later['oidcIssuer']}"
        kubeconfig = _kubeconfig(later["endpoint"], later["certificateAuthority"], later["name"], self.region)
        return {
            "kubeconfig": kubeconfig,
            "kubeconfigJson": json.dumps(kubeconfig),
            "clusterSecurityGroupId": later["clusterSecurityGroupId"],
            "nodeSecurityGroupId": later["nodeSecurityGroupId"],
            "oidcProviderArn": self._arn("iam", f"oidc-provider/{issuer}"),
            "oidcProviderUrl": f"https://{issuer}",
            "oidcIssuer": issuer,
            "autoModeNodeRoleName": later["autoModeNodeRoleName"],
        }


class _Later(dict[str, str]):
    """Placeholders of one resource by attribute, made when they are asked for."""

    def __init__(self, cloud: Cloud, type_: str, name: str) -> None:
        super().__init__()
        self._cloud = cloud
        self._type = type_
        self._name = name

    def __missing__(self, attribute: str) -> str:
        text = self[attribute] = placeholder(self._type, self._name, attribute)
        self._cloud.placeholders.add(text)
        return text


def _kubeconfig(endpoint: str, authority: str, cluster: str, region: str) -> Outputs:
    command = ["--region", region, "eks", "get-token", "--cluster-name", cluster, "--output", "json"]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "kubernetes", "cluster": {"server": endpoint, "certificate-authority-data": authority}},
        ],
        "contexts": [{"name": "aws", "context": {"cluster": "kubernetes", "user": "aws"}}],
        "current-context": "aws",
        "users": [
            {
                "name": "aws",
                "user": {
                    "exec": {
                        "apiVersion": "client.authentication.k8s.io/v1beta1",
                        "command": "aws",
                        "args": command,
                    }
                },
            }
        ],
    }


# --- Kubernetes -------------------------------------------------------------------------------------------------------


def automatic_name(type_: str, name: str) -> str:
    """The name that Pulumi's Kubernetes provider would make up: `<name>-<8 characters>`, here always the same ones."""
    digest = base64.b32encode(hashlib.sha256(f"{type_}::{name}".encode()).digest())
    return f"{name}-{digest.decode().lower()[:8]}"


def _kubernetes_object(type_: str, name: str, inputs: Inputs) -> tuple[str, Outputs]:
    if type_.startswith("kubernetes:helm.sh/"):
        release = inputs.get("name") or automatic_name(type_, name)
        namespace = inputs.get("namespace") or "default"
        status = {"name": release, "namespace": namespace, "revision": 1, "status": "deployed"}
        return f"{namespace}/{release}", {"name": release, "namespace": namespace, "status": status}
    metadata = dict(inputs.get("metadata") or {})
    metadata.setdefault("name", automatic_name(type_, name))
    namespace = metadata.get("namespace")
    identity = f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])
    return identity, {"metadata": metadata}


# --- AWS --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    """What a type of AWS resource answers.

    identity: the attribute that is its id. arn: service and resource part, or empty where it has none.
    attributes: further outputs, unless the program gives them.
    """

    arn: str = ""
    identity: str = "id"
    attributes: tuple[str, ...] = ()


_KINDS: Mapping[str, _Kind] = {
    "aws:cloudwatch/eventRule:EventRule": _Kind("events:rule/{name}", "name", ("name",)),
    "aws:cloudwatch/logGroup:LogGroup": _Kind("logs:log-group:{name}", "name", ("name",)),
    "aws:cloudwatch/metricAlarm:MetricAlarm": _Kind("cloudwatch:alarm:{name}", "name", ("name",)),
    "aws:ec2/eip:Eip": _Kind("ec2:elastic-ip/{id}", "id", ("allocationId", "publicIp")),
    "aws:ec2/internetGateway:InternetGateway": _Kind("ec2:internet-gateway/{id}"),
    "aws:ec2/launchTemplate:LaunchTemplate": _Kind("ec2:launch-template/{id}", "id", ("name", "latestVersion")),
    "aws:ec2/natGateway:NatGateway": _Kind("", "id", ("publicIp",)),
    "aws:ec2/routeTable:RouteTable": _Kind("ec2:route-table/{id}"),
    "aws:ec2/securityGroup:SecurityGroup": _Kind("ec2:security-group/{id}", "id", ("name",)),
    "aws:ec2/subnet:Subnet": _Kind("ec2:subnet/{id}", "id", ("availabilityZone", "availabilityZoneId")),
    "aws:ec2/vpc:Vpc": _Kind("ec2:vpc/{id}", "id", ("defaultSecurityGroupId", "mainRouteTableId")),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _Kind("ec2:vpc-endpoint/{id}", "id", ("prefixListId",)),
    "aws:iam/instanceProfile:InstanceProfile": _Kind("iam:instance-profile/{name}", "name", ("name",)),
    "aws:iam/policy:Policy": _Kind("iam:policy/{name}", "arn", ("name",)),
    "aws:iam/role:Role": _Kind("iam:role/{name}", "name", ("name", "uniqueId")),
    "aws:kms/key:Key": _Kind("kms:key/{keyId}", "keyId", ("keyId",)),
    "aws:sns/topic:Topic": _Kind("sns:{name}", "arn", ("name",)),
    "aws:sqs/queue:Queue": _Kind("sqs:{name}", "url", ("name", "url")),
}


_DIRECTIONS = {"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw"}


def _zones(cloud: Cloud, arguments: Inputs) -> Outputs:
    region = str(arguments.get("region") or cloud.region)
    area, direction, number = region.split("-")[-3:]
    short = f"{area}{_DIRECTIONS.get(direction, direction[0])}{number}"  # us-east-1 is use1
    letters = "abcdef" if region == "us-east-1" else "abc"
    return {
        "id": region,
        "names": [f"{region}{letter}" for letter in letters],
        "zoneIds": [f"{short}-az{number}" for number, _ in enumerate(letters, 1)],
        "groupNames": [f"{region}-zg-1"],
        "region": region,
    }


def _region(cloud: Cloud, arguments: Inputs) -> Outputs:
    region = str(arguments.get("region") or cloud.region)
    return {
        "id": region,
        "name": region,
        "region": region,
        "endpoint": f"ec2.{region}.amazonaws.com",
        "description": region,
    }


def _registry_login(cloud: Cloud, arguments: Inputs) -> Outputs:
    del arguments
    endpoint = f"https://{ACCOUNT_ID}.dkr.ecr.{cloud.region}.amazonaws.com"
    return {"id": cloud.region, "userName": "AWS", "password": "", "authorizationToken": "", "proxyEndpoint": endpoint}


def _caller(cloud: Cloud, arguments: Inputs) -> Outputs:
    del cloud, arguments
    return {
        "id": ACCOUNT_ID,
        "accountId": ACCOUNT_ID,
        "userId": "AIDACKCEVSQ6C2EXAMPLE",  # Amazon's example
        "arn": f"arn:aws:iam::{ACCOUNT_ID}:user/you",
    }


def _partition(cloud: Cloud, arguments: Inputs) -> Outputs:
    del cloud, arguments
    return {"id": "aws", "partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws"}


def _eks_cluster(cloud: Cloud, arguments: Inputs) -> Outputs:
    """A cluster that is there (aws:eks/getCluster:getCluster); where it is only its account knows."""
    name = str(arguments["name"])
    later = _Later(cloud, "aws:eks/getCluster:Cluster", name)
    return {
        "id": name,
        "name": name,
        "arn": cloud._arn("eks", f"cluster/{name}"),
        "endpoint": later["endpoint"],
        "certificateAuthorities": [{"data": later["certificateAuthority"]}],
        "identities": [{"oidcs": [{"issuer": f"https://{later['issuer']}"}]}],
        "vpcConfig": {"vpcId": later["vpcId"]},
    }


def _oidc_provider(cloud: Cloud, arguments: Inputs) -> Outputs:
    """A provider that IAM knows (aws:iam/getOpenIdConnectProvider:getOpenIdConnectProvider)."""
    url = str(arguments["url"]).removeprefix("https://")
    return {"id": url, "url": url, "arn": cloud._arn("iam", f"oidc-provider/{url}")}


def _subnets(cloud: Cloud, arguments: Inputs) -> Outputs:
    """Subnets by their ids or tags (aws:ec2/getSubnets:getSubnets): all, or as many as a cluster needs."""
    asked = {each["name"]: each["values"] for each in arguments.get("filters") or ()}
    if "subnet-id" in asked:
        return {"id": cloud.region, "ids": asked["subnet-id"]}
    tags = ",".join(f"{name[4:]}={values[0]}" for name, values in asked.items() if name.startswith("tag:"))
    later = _Later(cloud, "aws:ec2/getSubnets:Subnets", tags or "all")
    return {"id": cloud.region, "ids": [later["first"], later["second"]]}


def _subnet(cloud: Cloud, arguments: Inputs) -> Outputs:
    """A subnet that is there (aws:ec2/getSubnet:getSubnet); in which zone it lies only its account knows."""
    later = _Later(cloud, "aws:ec2/getVpc:Vpc", "existing")
    return {"id": arguments["id"], "vpcId": later["id"], "availabilityZoneId": ""}


def _route_tables(cloud: Cloud, arguments: Inputs) -> Outputs:
    """Route tables by what they are for (aws:ec2/getRouteTables:getRouteTables); none that leads to the Internet."""
    del arguments
    return {"id": cloud.region, "ids": []}


def _policy_document(cloud: Cloud, arguments: Inputs) -> Outputs:
    """The JSON that the AWS provider builds from statements (aws:iam/getPolicyDocument:getPolicyDocument)."""
    del cloud
    statements = []
    for given in arguments.get("statements") or []:
        statement: Outputs = {"Effect": given.get("effect") or "Allow"}
        if given.get("sid"):
            statement["Sid"] = given["sid"]
        for key, target in _STATEMENT_LISTS.items():
            if given.get(key):
                statement[target] = _one_or_many(sorted(given[key]))
        for key, target in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
            if given.get(key):
                statement[target] = {p["type"]: _one_or_many(sorted(p["identifiers"])) for p in given[key]}
        conditions: dict[str, Outputs] = {}
        for condition in given.get("conditions") or []:
            conditions.setdefault(condition["test"], {})[condition["variable"]] = _one_or_many(condition["values"])
        if conditions:
            statement["Condition"] = conditions
        statements.append(statement)
    document: Outputs = {"Version": arguments.get("version") or "2012-10-17", "Statement": statements}
    text = json.dumps(document, indent=2)
    return {"id": hashlib.sha256(text.encode()).hexdigest()[:10], "json": text, "minifiedJson": json.dumps(document)}


_STATEMENT_LISTS = {
    "actions": "Action",
    "notActions": "NotAction",
    "resources": "Resource",
    "notResources": "NotResource",
}


def _one_or_many(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


_FUNCTIONS: Mapping[str, Callable[[Cloud, Inputs], Outputs]] = {
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": _registry_login,
    "aws:ec2/getRouteTables:getRouteTables": _route_tables,
    "aws:ec2/getSubnet:getSubnet": _subnet,
    "aws:ec2/getSubnets:getSubnets": _subnets,
    "aws:eks/getCluster:getCluster": _eks_cluster,
    "aws:iam/getOpenIdConnectProvider:getOpenIdConnectProvider": _oidc_provider,
    "aws:iam/getPolicyDocument:getPolicyDocument": _policy_document,
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:index/getCallerIdentity:getCallerIdentity": _caller,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getRegion:getRegion": _region,
}
