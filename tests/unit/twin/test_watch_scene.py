"""What the pictures show is what the objects say: who sits where, who waits and why, what is news."""

from __future__ import annotations

from tests.unit.twin.cluster import NOW, Cluster, box_of, claimed, crowd, everyday
from twin.watch.scene import COLOURS, Box, Pool, Scene, colour_owners


def slots(box: Box) -> list[tuple[str, str]]:
    return [(slot.state, slot.owner) for slot in box.slots]


def pool(scene: Scene, title: str) -> Pool:
    return next(pool for pool in scene.pools if pool.title == title)


def test_each_slot_shows_who_sits_there_or_is_coming() -> None:
    scene = everyday().scene()
    assert slots(box_of(scene, "mps-aaaaa")) == [("ready", "llama2"), ("ready", "llama3-2"), ("ready", "mistral")]
    assert slots(box_of(scene, "mps-ccccc")) == [("starting", "qwen"), ("free", ""), ("free", "")]
    assert slots(box_of(scene, "mps-bbbbb")) == [("coming", "gemma"), ("coming", ""), ("not offered yet", "")]
    assert slots(box_of(scene, "mps-ddddd")) == [("leaving", "phi")]
    assert box_of(scene, "mps-aaaaa").slots[2].pod == "models/mistral-0"


def test_a_pod_with_several_slots_takes_as_many() -> None:
    made = Cluster()
    node = made.node("mps-aaaaa", slots=4)
    made.pod("big-0", node, "big", slots=3)
    assert slots(box_of(made.scene(), "mps-aaaaa")) == [("ready", "big")] * 3 + [("free", "")]


def test_a_node_is_there_from_the_purchase_on_and_under_one_name() -> None:
    for stage in ("bought", "booting", "no GPU yet", "ready", "leaving"):
        made = Cluster()
        made.node("mps-aaaaa", stage=stage)
        box = box_of(made.scene(), "mps-aaaaa")
        assert (box.stage, box.instance_type, box.gpu, box.capacity) == (stage, "g6.xlarge", "L4", "Spot")
        assert box.usd_per_hour > 0
        assert NOW - box.since == 100


def test_totals_are_those_of_the_nodes() -> None:
    scene = everyday().scene()
    boxes = [box for each in scene.pools for box in each.nodes]
    assert (scene.nodes, scene.gpu_nodes) == (6, 4)
    assert (scene.taken, scene.slots, scene.pending) == (7, 10, 2)
    assert scene.usd_per_hour == sum(box.usd_per_hour for box in boxes)
    assert sum(each.nodes for each in pool(scene, "mps").sums) == 4
    assert [each.title for each in scene.pools] == ["mps", "mig", "general", "System nodes"]


def test_pods_wait_with_the_reason_and_those_without_hope_first() -> None:
    huge, gemma = everyday().scene().waiting
    assert (huge.reason, huge.source) == ("Failed to schedule pod, no instance type has 8 slots", "Karpenter")
    assert (huge.coming, huge.slots, huge.owners, NOW - huge.since) == (False, 8, (("huge", 1),), 130)
    assert (gemma.coming, gemma.reason) == (True, "Pod should schedule on: nodeclaim/mps-bbbbb")


def test_those_without_hope_come_first_even_when_they_are_few() -> None:
    made = Cluster()
    made.node("mps-aaaaa", stage="booting")
    for number in range(3):
        made.pod(f"a-{number}", owner="a")
        made.event("Nominated", "Pod should schedule on: nodeclaim/mps-aaaaa", f"a-{number}")
    made.pod("z-0", owner="z", reason="zero nodes are available")
    assert [each.owners for each in made.scene().waiting] == [(("z", 1),), (("a", 3),)]


def test_pods_that_wait_for_the_same_reason_are_told_together() -> None:
    made = Cluster()
    for number in range(5):
        made.pod(f"a-{number}", owner="a", reason="0/1 nodes are available")
    made.pod("b-0", owner="b", reason="")
    first, second = made.scene().waiting
    assert (first.source, first.owners, len(first.pods)) == ("scheduler", (("a", 5),), 5)
    assert (second.source, second.reason) == ("", "nobody has said why yet")


def test_what_the_right_pool_lacks_is_said_before_that_others_are_the_wrong_ones() -> None:
    wrong = "incompatible requirements, key karpenter.sh/nodepool, karpenter.sh/nodepool In [mps] not in ... In [x86]"
    made = Cluster()
    made.pod("a-0", owner="a")
    message = f"Failed to schedule pod, {wrong}; no instance type has enough resources; {wrong}"
    made.event("FailedScheduling", message, "a-0", warning=True)
    (waiting,) = made.scene().waiting
    assert waiting.reason == f"Failed to schedule pod, no instance type has enough resources; {wrong}; {wrong}"


def test_a_nomination_of_a_namesake_that_is_gone_does_not_count() -> None:
    made = Cluster()
    made.node("mps-aaaaa", stage="booting")
    made.pod("a-0", owner="a", ago=10, reason="0/1 nodes are available")
    made.event("Nominated", "Pod should schedule on: nodeclaim/mps-aaaaa", "a-0", ago=60)
    scene = made.scene()
    assert not scene.waiting[0].coming
    assert slots(box_of(scene, "mps-aaaaa"))[0] == ("not offered yet", "")


def test_a_pool_says_how_it_shares_and_why_it_cannot_be_used() -> None:
    scene = everyday().scene()
    mps, mig = pool(scene, "mps"), pool(scene, "mig")
    assert (mps.sharing, mps.resource, mps.limit) == ("MPS, 3 slots per GPU", "nvidia.com/gpu.shared", 300)
    assert (mig.sharing, mig.problem, mig.nodes) == ("MIG, 7 slots per GPU", "NodeClass not ready", ())
    assert pool(scene, "general").sharing == ""


def test_owners_keep_their_colour_and_new_ones_get_the_rarest() -> None:
    first = colour_owners({}, ["a", "b", "c"])
    assert len(set(first.values())) == 3
    second = colour_owners(first, ["c", "d", "b"])
    assert (second["b"], second["c"], second["d"]) == (first["b"], first["c"], first["a"])
    many = colour_owners({}, map(str, range(3 * COLOURS)))
    assert sorted(many.values()) == sorted([*range(COLOURS)] * 3)


def test_the_feed_is_newest_first_and_says_a_hundred_times_the_same_once() -> None:
    made = Cluster()
    for number in range(100):
        made.event("Scheduled", f"Successfully assigned a-{number}", f"a-{number}", ago=20 + number % 4)
    made.event("SpotInterrupted", "2 minutes left", "mps-aaaaa", "NodeClaim", ago=3, warning=True)
    made.event("NodeHasSufficientMemory", "enough", "node-of-a", "Node", ago=1)
    made.event("Pulled", "image", "karpenter-0", ago=1, namespace="kube-system")
    first, second = made.scene().feed
    assert (first.reason, first.warning, first.count) == ("SpotInterrupted", True, 1)
    assert (second.reason, second.count) == ("Scheduled", 100)


def test_warnings_that_say_different_things_are_each_told() -> None:
    made = Cluster()
    for text in ("one", "two", "two"):
        made.event("GpuNeverOffered", text, "mps-aaaaa", "Node", warning=True)
    assert [(entry.message, entry.count) for entry in made.scene().feed] == [("one", 1), ("two", 2)]


def test_the_feed_calls_a_node_as_the_picture_does_even_when_it_is_gone() -> None:
    made = Cluster()
    made.node("mps-aaaaa")
    before = made.scene()
    made.objects["Node"].clear()
    made.objects["NodeClaim"].clear()
    made.event("Terminated", "node-of-mps-aaaaa has gone", "node-of-mps-aaaaa", "Node")
    (entry,) = made.scene(before).feed
    assert (entry.name, entry.message) == ("mps-aaaaa", "mps-aaaaa has gone")


def test_an_empty_cluster_and_one_that_has_only_just_begun_are_scenes_too() -> None:
    assert Cluster().scene().nodes == 0
    made = Cluster()
    made.objects["NodePool"].append({"metadata": {"name": "new"}, "spec": {"template": {"spec": {}}}})
    made.objects["NodeClaim"].append({"metadata": {"name": "new-aaaaa"}, "spec": {}})  # not bought yet
    made.objects["Event"].append({"metadata": {"name": "e"}, "reason": "Odd"})
    scene = made.scene()
    assert (scene.nodes, [each.title for each in scene.pools], scene.feed[0].at) == (0, ["new"], 0.0)


def test_thousands_of_pods_are_told_in_sums() -> None:
    scene = crowd(3000, 4).scene()
    mps = pool(scene, "mps")
    assert (scene.nodes, scene.taken, scene.slots, mps.crowded) == (750, 3000, 3000, True)
    assert [(each.nodes, each.taken) for each in mps.sums] == [(750, 3000)]
    assert mps.owners == (("burst", 3000),)


# --- GPUs whose memory pods claim -------------------------------------------------------------------------------------


def parts(box: Box) -> list[tuple[str, str, int]]:
    (bar,) = box.bars
    return [(part.state, part.owner, part.mib) for part in bar.parts]


def test_a_gpu_is_a_bar_of_claims_as_long_as_its_memory() -> None:
    scene = claimed().scene()
    assert parts(box_of(scene, "memory-aaaaa")) == [
        ("ready", "mistral", 6554), ("starting", "phi", 3277), ("free", "", 23034 - 6554 - 3277)
    ]  # fmt: skip
    assert parts(box_of(scene, "memory-bbbbb")) == [
        ("coming", "llama2", 10240), ("not offered yet", "", 23034 - 10240)
    ]  # fmt: skip
    assert parts(box_of(scene, "memory-ccccc")) == [("not offered yet", "", 23034)]
    assert parts(box_of(scene, "memory-ddddd")) == [("leaving", "old", 4000)]
    assert [box.stage for box in pool(scene, "memory").nodes] == ["leaving", "ready", "no GPU yet", "bought"]


def test_memory_is_counted_and_slots_are_not() -> None:
    scene = claimed().scene()
    assert (scene.slots, scene.taken) == (0, 0)
    assert scene.mib == 4 * 23034
    assert scene.taken_mib == pool(scene, "memory").taken_mib == 6554 + 3277 + 4000 + 10240
    assert pool(scene, "memory").owners == (("old", 1), ("mistral", 1), ("phi", 1), ("llama2", 1))
    huge, llama2 = scene.waiting
    assert (huge.mib, huge.hopeless, llama2.mib, llama2.coming) == (24000, True, 10240, True)


def test_a_claim_is_drawn_on_the_gpu_that_it_is_of() -> None:
    made = Cluster()
    node = made.node("memory-aaaaa", "memory", slots=0, type="g6.12xlarge", sharing="memory")
    made.devices(node, 23034, 23034)
    made.claim("a-0", 5000, node, "a", device="gpu-1")
    made.claim("b-0", 20000, owner="b")
    made.event("Nominated", f"Pod should schedule on: node/{node}", "b-0")
    first, second = box_of(made.scene(), "memory-aaaaa").bars
    assert [part.owner for part in first.parts] == ["b", ""]
    assert [part.owner for part in second.parts] == ["a", ""]


def test_a_full_gpu_has_nothing_free() -> None:
    made = Cluster()
    node = made.node("memory-aaaaa", "memory", slots=0, sharing="memory")
    made.devices(node, 23034)
    made.claim("a-0", 23034, node, "a")
    assert parts(box_of(made.scene(), "memory-aaaaa")) == [("ready", "a", 23034)]
