"""Instances and what starts them, and the disks."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

from account.teardown.kinds import Call, Eyes, Fate, Kind, Leftover, Step
from account.teardown.marks import Tags, tags_of

_GROUPS = Call("autoscaling", "describe_auto_scaling_groups")
_DELETE_GROUP = Call("autoscaling", "delete_auto_scaling_group")
_REQUESTS = Call("ec2", "describe_spot_instance_requests")
_CANCEL_REQUEST = Call("ec2", "cancel_spot_instance_requests")
_INSTANCES = Call("ec2", "describe_instances")
_TERMINATE = Call("ec2", "terminate_instances")
_TEMPLATES = Call("ec2", "describe_launch_templates")
_DELETE_TEMPLATE = Call("ec2", "delete_launch_template")
_VOLUMES = Call("ec2", "describe_volumes")
_DELETE_VOLUME = Call("ec2", "delete_volume")
_SNAPSHOTS = Call("ec2", "describe_snapshots")
_DELETE_SNAPSHOT = Call("ec2", "delete_snapshot")


def _groups(eyes: Eyes) -> Iterator[Leftover]:
    for group in eyes.collect(_GROUPS, "AutoScalingGroups[]"):
        name = group["AutoScalingGroupName"]
        found = eyes.left(
            name,
            tags_of(group.get("Tags")),
            name="",
            state=group.get("Status", ""),
            # AWS sets a status only while it deletes the group (Auto Scaling API reference, AutoScalingGroup).
            fate="ending" if group.get("Status") else "left",
            arn=group["AutoScalingGroupARN"],
            steps=(Step(_DELETE_GROUP, {"AutoScalingGroupName": name, "ForceDelete": True}),),
        )
        if found:
            yield found


def _requests(eyes: Eyes) -> Iterator[Leftover]:
    for request in eyes.tagged(_REQUESTS, "SpotInstanceRequests[]", "SpotInstanceRequestId"):
        id_, state = request["SpotInstanceRequestId"], request["State"]
        step = Step(_CANCEL_REQUEST, {"SpotInstanceRequestIds": [id_]})
        found = eyes.left(id_, tags_of(request.get("Tags")), state=state, steps=(step,))
        # Others are history, which EC2 forgets by itself. A persistent one that is active would buy a new instance.
        if found and state in ("open", "active", "disabled"):
            yield found


def _instances(eyes: Eyes) -> Iterator[Leftover]:
    for instance in eyes.tagged(_INSTANCES, "Reservations[].Instances[]", "InstanceId"):
        id_, state = instance["InstanceId"], instance["State"]["Name"]
        ending = state == "shutting-down"
        type_ = instance.get("InstanceType", "")
        found = eyes.left(
            id_,
            tags_of(instance.get("Tags")),
            state=f"{type_}, {state}",
            fate="ending" if ending else "left",
            usd_per_month=eyes.costs.instance(type_) if state == "running" else None,
            steps=(Step(_TERMINATE, {"InstanceIds": [id_]}),),
        )
        # A terminated instance is shown for about an hour; it is gone.
        if found and state != "terminated":
            yield found


def _templates(eyes: Eyes) -> Iterator[Leftover]:
    named = itemgetter("LaunchTemplateName")
    return eyes.by_id(_TEMPLATES, "LaunchTemplates[]", "LaunchTemplateId", _DELETE_TEMPLATE, name=named)


def _volumes(eyes: Eyes) -> Iterator[Leftover]:
    for volume in eyes.tagged(_VOLUMES, "Volumes[]", "VolumeId"):
        id_, state, tags = volume["VolumeId"], volume["State"], tags_of(volume.get("Tags"))
        fate: Fate = "ending" if state in ("deleting", "deleted") else "left"
        found = eyes.left(
            id_,
            tags,
            state=f"{volume['Size']} GiB {volume.get('VolumeType', '')}, {state}",
            fate=fate,
            usd_per_month=eyes.costs.volume(volume.get("VolumeType", ""), volume["Size"]),
            owner=_claim(tags),
            steps=(Step(_DELETE_VOLUME, {"VolumeId": id_}),),
        )
        if found:
            yield found


def _claim(tags: Tags) -> str:
    """The claim that a volume was made for, as the CSI provisioner's extra metadata names it."""
    name = tags.get("kubernetes.io/created-for/pvc/name")
    return f"PersistentVolumeClaim {tags.get('kubernetes.io/created-for/pvc/namespace', '?')}/{name}" if name else ""


def _snapshots(eyes: Eyes) -> Iterator[Leftover]:
    for snapshot in eyes.tagged(_SNAPSHOTS, "Snapshots[]", "SnapshotId", OwnerIds=["self"]):
        id_ = snapshot["SnapshotId"]
        found = eyes.left(
            id_,
            tags_of(snapshot.get("Tags")),
            state=f"of {snapshot['VolumeSize']} GiB, {snapshot['State']}",
            usd_per_month=eyes.costs.snapshot(snapshot.get("FullSnapshotSizeInBytes")),
            steps=(Step(_DELETE_SNAPSHOT, {"SnapshotId": id_}),),
        )
        if found:
            yield found


GROUPS = Kind(name="Auto Scaling groups", look=_groups, reads=(_GROUPS,), deletes=(_DELETE_GROUP,))
SPOT_REQUESTS = Kind(name="Spot requests", look=_requests, reads=(_REQUESTS,), deletes=(_CANCEL_REQUEST,))
INSTANCES = Kind(name="EC2 instances", look=_instances, reads=(_INSTANCES,), deletes=(_TERMINATE,), data=True)
TEMPLATES = Kind(name="launch templates", look=_templates, reads=(_TEMPLATES,), deletes=(_DELETE_TEMPLATE,))
VOLUMES = Kind(name="EBS volumes", look=_volumes, reads=(_VOLUMES,), deletes=(_DELETE_VOLUME,), data=True)
SNAPSHOTS = Kind(name="EBS snapshots", look=_snapshots, reads=(_SNAPSHOTS,), deletes=(_DELETE_SNAPSHOT,), data=True)
