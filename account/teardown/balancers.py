"""Load balancers: the door's, and those that Services and Ingresses made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from account.teardown.kinds import Call, Eyes, Kind, Leftover, Step
from account.teardown.marks import Tags, tags_of

_CLASSIC = Call("elb", "describe_load_balancers")
_CLASSIC_TAGS = Call("elb", "describe_tags")
_DELETE_CLASSIC = Call("elb", "delete_load_balancer")
_BALANCERS = Call("elbv2", "describe_load_balancers")
_TARGETS = Call("elbv2", "describe_target_groups")
_TAGS = Call("elbv2", "describe_tags")
_DELETE_BALANCER = Call("elbv2", "delete_load_balancer")
_DELETE_TARGETS = Call("elbv2", "delete_target_group")

#: Most names or ARNs that DescribeTags takes (Elastic Load Balancing API references).
_AT_ONCE = 20


def _service(tags: Tags) -> str:
    """The Service that made it: cloud-provider-aws and the AWS Load Balancer Controller write its name down."""
    name = tags.get("kubernetes.io/service-name") or tags.get("service.k8s.aws/stack")
    ingress = tags.get("ingress.k8s.aws/stack")
    return f"Service {name}" if name else f"Ingress {ingress}" if ingress else ""


def _classic(eyes: Eyes) -> Iterator[Leftover]:
    names = [each["LoadBalancerName"] for each in eyes.collect(_CLASSIC, "LoadBalancerDescriptions[]")]
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        for described in eyes.collect(
            _CLASSIC_TAGS, "TagDescriptions[]", absent=["LoadBalancerNotFound"], LoadBalancerNames=some
        ):
            name, tags = described["LoadBalancerName"], tags_of(described.get("Tags"))
            found = eyes.left(
                name,
                tags,
                name="",
                usd_per_month=eyes.costs.classic_load_balancer,
                owner=_service(tags),
                steps=(Step(_DELETE_CLASSIC, {"LoadBalancerName": name}),),
            )
            if found:
                yield found


def tags_by_arn(eyes: Eyes, arns: list[str], absent: str) -> Mapping[str, Tags]:
    """Tags of load balancers or target groups. absent: the error code for one that is gone meanwhile."""
    found: dict[str, Tags] = {}
    for start in range(0, len(arns), _AT_ONCE):
        some = arns[start : start + _AT_ONCE]
        for described in eyes.collect(_TAGS, "TagDescriptions[]", absent=[absent], ResourceArns=some):
            found[described["ResourceArn"]] = tags_of(described.get("Tags"))
    return found


def _balancers(eyes: Eyes) -> Iterator[Leftover]:
    balancers = {each["LoadBalancerArn"]: each for each in eyes.collect(_BALANCERS, "LoadBalancers[]")}
    for arn, tags in tags_by_arn(eyes, list(balancers), "LoadBalancerNotFound").items():
        found = eyes.left(
            balancers[arn]["LoadBalancerName"],
            tags,
            name="",
            state=f"{balancers[arn].get('Type', '')}, {balancers[arn].get('State', {}).get('Code', '')}",
            usd_per_month=eyes.costs.load_balancer,
            owner=_service(tags),
            arn=arn,
            steps=(Step(_DELETE_BALANCER, {"LoadBalancerArn": arn}),),
        )
        if found:
            yield found


def _targets(eyes: Eyes) -> Iterator[Leftover]:
    groups = {each["TargetGroupArn"]: each for each in eyes.collect(_TARGETS, "TargetGroups[]")}
    for arn, tags in tags_by_arn(eyes, list(groups), "TargetGroupNotFound").items():
        found = eyes.left(
            groups[arn]["TargetGroupName"],
            tags,
            name="",
            owner=_service(tags),
            arn=arn,
            steps=(Step(_DELETE_TARGETS, {"TargetGroupArn": arn}),),
        )
        if found:
            yield found


CLASSIC = Kind(
    name="classic load balancers", look=_classic, reads=(_CLASSIC, _CLASSIC_TAGS), deletes=(_DELETE_CLASSIC,)
)
BALANCERS = Kind(name="load balancers", look=_balancers, reads=(_BALANCERS, _TAGS), deletes=(_DELETE_BALANCER,))
TARGETS = Kind(name="target groups", look=_targets, reads=(_TARGETS, _TAGS), deletes=(_DELETE_TARGETS,))
