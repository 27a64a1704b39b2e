from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules.gpu_ceiling import RULE
from tests.policy.eks_components import silent, spoken
from tests.policy.platform import GPU, OVERLAY, SHARED, config, node_class, overlay, platform, plugin, pool, section
from tests.policy.support import UNKNOWN, judged, recorded

CAPI = "infrastructure.cluster.x-k8s.io/v1beta2"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"


def total(*resources: Recorded) -> int:
    """What the rule counts: with a ceiling below everything it says the sum."""
    (verdict,) = judged(RULE, *resources, maxGpus=0)
    return int(verdict.message.split()[2])


def group(type_: str = "g5.xlarge", size: object = 3.0) -> Recorded:
    return recorded(NODE_GROUP, {"instanceTypes": ["m7g.large", type_], "scalingConfig": {"maxSize": size}}, "nodes")


def test_limits_are_slots_and_the_ceiling_is_gpus() -> None:
    assert total(*platform("mps", 4)) == 2  # limit 8, 4 slots a GPU
    assert total(pool(limits={GPU: "8"})) == 8
    renamed = plugin(gpu=config(timeSlicing=section(4, renameByDefault=True)))
    assert total(node_class(), pool(limits={SHARED: "10", GPU: "99"}), overlay({SHARED: "4"}), renamed) == 3
    mig = plugin(gpu={"version": "v1", "flags": {"migStrategy": "mixed"}})
    cut = node_class(user_data="nvidia-smi mig -cgi 1g.10gb -C")
    assert total(cut, pool("p5.4xlarge", limits={"nvidia.com/mig-1g.10gb": "28"}), mig) == 4


def test_what_overlays_state_is_what_a_limit_counts_whatever_else_is_known() -> None:
    """Files of NodePools alone, whose plugin Helm installs from elsewhere, are judged as Karpenter counts them."""
    assert total(pool(limits={GPU: "18"}), overlay({GPU: "3"})) == 6
    assert total(pool(limits={SHARED: "18"}), overlay({SHARED: "3"})) == 6
    both = pool("g5.xlarge", "g5.12xlarge", limits={GPU: "24"})
    assert total(both, overlay({GPU: "3"}), overlay({GPU: "8"}, 4)) == 12
    assert total(pool(limits={GPU: "18"}), overlay({GPU: UNKNOWN})) == 18
    assert total(*[each for each in platform("mps", 4) if each.type != OVERLAY]) == 8  # no overlay: EC2's GPUs


def test_everything_that_starts_instances_is_counted_at_its_largest() -> None:
    assert total(group()) == 3
    assert total(group("g5.12xlarge")) == 12
    assert total(group("g9x.large")) == 24  # not in the catalogue: as many as 8 each
    assert total(recorded("aws:ec2/instance:Instance", {"instanceType": "p5.48xlarge"})) == 8
    overrides = {"launchTemplate": {"overrides": [{"instanceType": "g5.xlarge"}]}}
    assert total(recorded("aws:autoscaling/group:Group", {"maxSize": 5, "mixedInstancesPolicy": overrides})) == 5
    fleet = {
        "launchTemplateConfigs": [overrides["launchTemplate"]],
        "targetCapacitySpecification": {"totalTargetCapacity": 6},
    }
    assert total(recorded("aws:ec2/fleet:Fleet", fleet)) == 6
    assert total(recorded("eks:index:NodeGroupV2", {"instanceType": "g6.xlarge", "maxSize": 2})) == 2


def test_fleets_of_spot_native_groups_and_reservations_are_counted() -> None:
    spot = {"targetCapacity": 4, "launchSpecifications": [{"instanceType": "g5.12xlarge"}]}
    assert total(recorded("aws:ec2/spotFleetRequest:SpotFleetRequest", spot)) == 16
    native = {"instanceTypes": ["g6.xlarge"], "scalingConfig": {"maxSize": 5}}
    assert total(recorded("aws-native:eks:Nodegroup", native)) == 5
    reserved = {"instanceType": "p5.48xlarge", "instanceCount": 2}
    assert total(recorded("aws:ec2/capacityReservation:CapacityReservation", reserved)) == 16


def _with(resource: Recorded, **spec: object) -> Recorded:
    return recorded(resource.type, {**resource.inputs, "spec": {**resource.inputs["spec"], **spec}}, "gpu")


def test_static_pools_have_as_many_as_their_nodes() -> None:
    assert total(_with(pool("g5.12xlarge", limits={}), replicas=5.0)) == 20
    (verdict,) = judged(RULE, _with(pool(limits={}), replicas=UNKNOWN))
    assert "spec.replicas must be a literal" in verdict.message


def test_a_patch_does_not_lift_a_limit_unseen() -> None:
    patch = recorded("kubernetes:karpenter.sh/v1:NodePoolPatch", {"spec": {"limits": {GPU: "100"}}}, "more")
    assert total(pool(limits={GPU: "4"}), patch) == 104


def test_pools_of_one_name_in_two_clusters_both_count() -> None:
    other = pool(limits={GPU: "4"})
    assert total(pool(limits={GPU: "4"}), recorded(other.type, other.inputs, "elsewhere")) == 8


def test_a_patch_of_a_static_pool_counts_its_nodes() -> None:
    inputs = {"metadata": {"name": "gpu"}, "spec": {"replicas": 10}}
    patch = recorded("kubernetes:karpenter.sh/v1:NodePoolPatch", inputs, "more")
    assert total(_with(pool(limits={}), replicas=1), patch) == 11


@pytest.mark.parametrize("spec", [UNKNOWN, {"limits": UNKNOWN}, {"limits": {GPU: UNKNOWN}}, {"limits": {GPU: "inf"}}])
def test_a_patch_that_cannot_be_seen_is_said(spec: object) -> None:
    (verdict,) = judged(RULE, recorded("kubernetes:karpenter.sh/v1:NodePoolPatch", {"spec": spec}, "more"))
    assert "must be a literal" in verdict.message


def test_slots_of_unknown_size_count_as_gpus() -> None:
    assert total(pool(limits={SHARED: "40"})) == 40


def test_the_sum_counts() -> None:
    resources = (pool(limits={GPU: "8"}), group(size=8))
    assert judged(RULE, *resources, maxGpus=16) == []
    (verdict,) = judged(RULE, *resources, maxGpus=15)
    assert "16 GPUs (8 of NodePool gpu, 8 of NodeGroup nodes), more than 15" in verdict.message


def test_sixteen_by_default() -> None:
    assert judged(RULE, pool(limits={GPU: "16"})) == []
    assert judged(RULE, pool(limits={GPU: "17"}))


def test_an_unknown_size_fails() -> None:
    (verdict,) = judged(RULE, group(size=UNKNOWN))
    assert "scalingConfig.maxSize must be a literal" in verdict.message
    assert judged(RULE, group("t4g.medium", size=UNKNOWN)) == []


@pytest.mark.parametrize("resource", [pool("m7g.large", limits={}), group("t4g.medium", size=100)])
def test_cpus_do_not_count(resource: Recorded) -> None:
    assert judged(RULE, resource, maxGpus=0) == []


def test_a_stack_may_have_its_own_ceiling() -> None:
    resources = (pool(limits={GPU: "40"}),)  # of stack dev
    assert judged(RULE, *resources, stackCeilings={"dev": 40}) == []
    assert judged(RULE, *resources, stackCeilings={"prod": 40})


def test_a_group_takes_its_type_from_what_it_launches() -> None:
    template = recorded("aws:ec2/launchTemplate:LaunchTemplate", {"instanceType": "g5.12xlarge"}, "gpus")
    launched = {"launchTemplate": {"id": UNKNOWN}}
    sizes: list[tuple[str, dict[str, object], int]] = [
        (NODE_GROUP, {"scalingConfig": {"maxSize": 3}}, 12),
        ("aws:autoscaling/group:Group", {"maxSize": 2}, 8),
        ("aws:ec2/instance:Instance", {}, 4),
    ]
    for type_, size, gpus in sizes:
        using = recorded(type_, {**launched, **size}, "user", dependencies=(template.urn,))
        assert total(template, using) == gpus, type_
    assert judged(RULE, template, maxGpus=0) == []  # nothing starts it


@pytest.mark.parametrize("said", [{"name": "gpus"}, {"id": "lt-1"}])
def test_it_may_say_by_name_what_it_launches(said: dict[str, object]) -> None:
    given = {"name": "gpus", "id": "lt-1", "instanceType": "g5.12xlarge"}
    template = recorded("aws:ec2/launchTemplate:LaunchTemplate", given, "gpus")
    assert total(template, recorded(NODE_GROUP, {"launchTemplate": said, "scalingConfig": {"maxSize": 3}})) == 12
    others = {"launchTemplate": {"name": "others"}, "scalingConfig": {"maxSize": 3}}
    assert judged(RULE, template, recorded(NODE_GROUP, others), maxGpus=0) == []
    configuration = recorded("aws:ec2/launchConfiguration:LaunchConfiguration", given, "older")
    older = recorded("aws:autoscaling/group:Group", {"launchConfiguration": "gpus", "maxSize": 2})
    assert total(configuration, older) == 8


CONFIGURATION = "aws:ec2/launchConfiguration:LaunchConfiguration"
SCALING = "aws:autoscaling/group:Group"


def test_names_of_launch_configurations_and_of_templates_are_apart() -> None:
    template = recorded("aws:ec2/launchTemplate:LaunchTemplate", {"name": "gpu", "instanceType": "g6.12xlarge"}, "gpu")
    cpus = recorded(CONFIGURATION, {"name": "gpu", "instanceType": "m7i.large"}, "cpus")
    older = recorded(SCALING, {"launchConfiguration": "gpu", "maxSize": 2}, "older")
    newer = recorded(SCALING, {"launchTemplate": {"name": "gpu"}, "maxSize": 2}, "newer")
    assert judged(RULE, template, cpus, older, maxGpus=0) == []
    assert total(template, cpus, newer) == 8
    gpus = recorded(CONFIGURATION, {"id": "gpu", "instanceType": "g6.12xlarge"}, "gpus")
    assert total(gpus, older) == 8  # its id is its name
    assert judged(RULE, gpus, newer, maxGpus=0) == []


@pytest.mark.parametrize(
    ("group", "kind", "spec"),
    [
        ("eksctl.io/v1alpha5", "ClusterConfig", {"managedNodeGroups": [{"name": "gpu", "maxSize": 20}]}),
        (CAPI, "AWSManagedMachinePool", {"spec": {"awsLaunchTemplate": {}, "scaling": {"maxSize": 20}}}),
        (CAPI, "AWSMachine", {"spec": {}}),
    ],
)
def test_launch_templates_of_other_tools_are_their_own(group: str, kind: str, spec: dict[str, object]) -> None:
    """eksctl and Cluster API make one for each group, under a name that nobody chooses."""
    template = recorded("aws:ec2/launchTemplate:LaunchTemplate", {"name": "gpu", "instanceType": "g6.12xlarge"}, "gpu")
    made = {"apiVersion": group, "kind": kind, "metadata": {"name": "gpu"}, **spec}
    assert judged(RULE, template, recorded(f"kubernetes:{group}:{kind}", made, "gpu"), maxGpus=0) == []
    inside = recorded("kubernetes:yaml/v2:ConfigGroup", {"objs": [made]}, "files")
    assert judged(RULE, template, inside, maxGpus=0) == []


def test_what_a_component_makes_is_counted_once() -> None:
    component = recorded("eks:index:NodeGroupV2", {"instanceType": "g5.xlarge", "maxSize": 5}, "nodes")
    assert total(*spoken(component)) == total(*silent(component)) == total(component) == 5


TEMPLATE = recorded("aws:ec2/launchTemplate:LaunchTemplate", {"instanceType": "g5.12xlarge"}, "gpus")
ANY_GPU: dict[str, object] = {"instanceRequirements": {"acceleratorCount": {"min": 1}}}
TWO: dict[str, object] = {"instanceRequirements": {"acceleratorCount": {"max": 2}}}
NO_GPU: dict[str, object] = {"instanceRequirements": {"acceleratorCount": {"max": 0}}}


def scaling(*overrides: object, size: object = 3) -> Recorded:
    policy = {"launchTemplate": {"overrides": list(overrides)}}
    given = {"maxSize": size, "mixedInstancesPolicy": policy}
    return recorded("aws:autoscaling/group:Group", given, "user", dependencies=(TEMPLATE.urn,))


def fleet(*overrides: object, target: object = 3) -> Recorded:
    given = {
        "launchTemplateConfigs": [{"overrides": list(overrides)}],
        "targetCapacitySpecification": {"totalTargetCapacity": target},
    }
    return recorded("aws:ec2/fleet:Fleet", given, "user", dependencies=(TEMPLATE.urn,))


def spot_fleet(*overrides: object, target: object = 3, **more: object) -> Recorded:
    given = {"launchTemplateConfigs": [{"overrides": list(overrides)}], "targetCapacity": target, **more}
    return recorded("aws:ec2/spotFleetRequest:SpotFleetRequest", given, "user", dependencies=(TEMPLATE.urn,))


@pytest.mark.parametrize("build", [scaling, fleet, spot_fleet])
@pytest.mark.parametrize(
    ("overrides", "gpus"),
    [
        ([{"availabilityZone": "eu-central-1a"}], 12),  # the template's type
        ([{}, {"instanceType": "m7g.large"}], 12),
        ([], 12),
        ([{"instanceType": ""}], 12),
        ([{"instanceType": "g5.xlarge"}], 3),
        ([ANY_GPU], 24),
        ([TWO, {"instanceType": "m7g.large"}], 6),
        ([{"instanceType": "g5.xlarge", "weightedCapacity": "0.5"}], 6),
        ([{"instanceType": "g5.12xlarge", "weightedCapacity": "2"}], 8),
    ],
)
def test_overrides_count_by_what_they_choose(build: Any, overrides: list[object], gpus: int) -> None:
    assert total(TEMPLATE, build(*overrides)) == gpus


@pytest.mark.parametrize("build", [scaling, fleet, spot_fleet])
def test_attributes_that_exclude_gpus_count_none(build: Any) -> None:
    assert judged(RULE, TEMPLATE, build(NO_GPU, {"instanceType": "m7g.large"}), maxGpus=0) == []


def test_a_spot_fleet_s_specifications_may_leave_the_type_to_attributes() -> None:
    given = {"targetCapacity": 2, "launchSpecifications": [ANY_GPU, {"instanceType": "m7g.large"}]}
    assert total(recorded("aws:ec2/spotFleetRequest:SpotFleetRequest", given)) == 16


def test_a_template_may_choose_by_attributes() -> None:
    template = recorded("aws:ec2/launchTemplate:LaunchTemplate", ANY_GPU, "attributes")
    using = recorded("aws:autoscaling/group:Group", {"maxSize": 2}, "user", dependencies=(template.urn,))
    assert total(template, using) == 16


@pytest.mark.parametrize(
    "resource",
    [
        recorded("aws:ec2/instance:Instance", {"instanceType": UNKNOWN}),
        recorded(NODE_GROUP, {"instanceTypes": UNKNOWN, "scalingConfig": {"maxSize": 3}}),
        group(UNKNOWN),
        group(size="many"),
        recorded("eks:index:NodeGroupV2", {"instanceType": UNKNOWN}),
        recorded("eks:index:Cluster", {"nodeGroupOptions": UNKNOWN}),
        recorded("aws:ec2/capacityReservation:CapacityReservation", {"instanceType": UNKNOWN, "instanceCount": 1}),
        scaling({"instanceType": UNKNOWN}),
        scaling(UNKNOWN),
        scaling({"instanceRequirements": UNKNOWN}),
        scaling({"instanceRequirements": {"acceleratorCount": {"max": UNKNOWN}}}),
        scaling({"instanceType": "g5.xlarge", "weightedCapacity": "0"}),
        recorded("aws:autoscaling/group:Group", {"maxSize": 3, "mixedInstancesPolicy": UNKNOWN}),
        fleet({"instanceType": "g5.xlarge"}, target="nan"),
        recorded("aws:ec2/fleet:Fleet", {"launchTemplateConfigs": UNKNOWN}),
        spot_fleet({"instanceType": UNKNOWN}),
        pool(limits={GPU: UNKNOWN}),
        pool(limits={GPU: "inf"}),
        _with(pool(limits={}), replicas="many"),
    ],
)
def test_what_cannot_be_counted_is_said(resource: Recorded) -> None:
    messages = [verdict.message for verdict in judged(RULE, resource, maxGpus=1000)]
    assert len(messages) == 1
    assert "must be a literal" in messages[0]


def test_nothing_negative_makes_room_for_others() -> None:
    less = [pool(limits={GPU: "-490"}, name="less"), group(size=-100), _with(pool(name="static"), replicas=-3)]
    assert total(pool(limits={GPU: "8"}), *less) == 8


@pytest.mark.parametrize(("fargate", "gpus"), [(False, 2), (None, 2), ("", 2), (UNKNOWN, 2), (True, 0), ({}, 0)])
def test_a_cluster_without_fargate_makes_its_default_group(fargate: object, gpus: int) -> None:
    given = {"instanceType": "g5.xlarge", **({} if fargate is None else {"fargate": fargate})}
    verdicts = judged(RULE, recorded("eks:index:Cluster", given), maxGpus=0)
    assert [verdict.message.split()[2] for verdict in verdicts] == [str(gpus)] * bool(gpus)


def test_an_absent_size_of_a_component_is_its_default() -> None:
    assert total(recorded("eks:index:NodeGroup", {"instanceType": "g5.xlarge", "maxSize": None})) == 2
    assert total(recorded("eks:index:ManagedNodeGroup", {"instanceTypes": ["g5.xlarge"], "scalingConfig": {}})) == 2
