from __future__ import annotations

import pytest

from policy.analyzer import Recorded
from policy.rules.gpu_ceiling import RULE
from tests.policy.eks_components import silent, spoken
from tests.policy.platform import GPU, SHARED, config, node_class, overlay, platform, plugin, pool, section
from tests.policy.support import UNKNOWN, judged, recorded

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


def test_what_a_component_makes_is_counted_once() -> None:
    component = recorded("eks:index:NodeGroupV2", {"instanceType": "g5.xlarge", "maxSize": 5}, "nodes")
    assert total(*spoken(component)) == total(*silent(component)) == total(component) == 5
