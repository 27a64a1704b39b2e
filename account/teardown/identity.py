"""Roles, instance profiles and policies. IAM has no regions: only tags that say whose a thing is count there."""

from __future__ import annotations

from collections.abc import Iterator

from account.teardown.kinds import Call, Eyes, Item, Kind, Leftover, Step
from account.teardown.marks import tags_of

_PROFILES = Call("iam", "list_instance_profiles")
_PROFILE = Call("iam", "get_instance_profile")
_REMOVE_ROLE = Call("iam", "remove_role_from_instance_profile")
_DELETE_PROFILE = Call("iam", "delete_instance_profile")
_ROLES = Call("iam", "list_roles")
_ROLE_TAGS = Call("iam", "list_role_tags")
_ATTACHED = Call("iam", "list_attached_role_policies")
_INLINE = Call("iam", "list_role_policies")
_DETACH = Call("iam", "detach_role_policy")
_DELETE_INLINE = Call("iam", "delete_role_policy")
_DELETE_ROLE = Call("iam", "delete_role")
_POLICIES = Call("iam", "list_policies")
_POLICY_TAGS = Call("iam", "list_policy_tags")
_ENTITIES = Call("iam", "list_entities_for_policy")
_VERSIONS = Call("iam", "list_policy_versions")
_DELETE_VERSION = Call("iam", "delete_policy_version")
_DELETE_POLICY = Call("iam", "delete_policy")

_GONE = ["NoSuchEntity"]
#: Roles that AWS makes for itself and for its single sign-on; no stack has any there.
_AWS_OWN = ("/aws-service-role/", "/aws-reserved/")


def _profiles(eyes: Eyes) -> Iterator[Leftover]:
    def look(profile: Item) -> Leftover | None:
        name = profile["InstanceProfileName"]
        # The list leaves tags out (IAM API reference, ListInstanceProfiles).
        whole = eyes.ask(_PROFILE, absent=_GONE, InstanceProfileName=name)
        if whole is None:
            return None
        roles = [role["RoleName"] for role in whole["InstanceProfile"].get("Roles", [])]
        remove = [Step(_REMOVE_ROLE, {"InstanceProfileName": name, "RoleName": role}) for role in roles]
        steps = (*remove, Step(_DELETE_PROFILE, {"InstanceProfileName": name}))
        tags = tags_of(whole["InstanceProfile"].get("Tags"))
        return eyes.left(name, tags, worldwide=True, name="", arn=profile["Arn"], steps=steps)

    return eyes.each(eyes.collect(_PROFILES, "InstanceProfiles[]"), look)


def _roles(eyes: Eyes) -> Iterator[Leftover]:
    def look(role: Item) -> Leftover | None:
        name = role["RoleName"]
        tags = tags_of(eyes.collect(_ROLE_TAGS, "Tags[]", absent=_GONE, RoleName=name))
        if eyes.marks.mark(tags, worldwide=True) is None:
            return None
        attached = eyes.collect(_ATTACHED, "AttachedPolicies[].PolicyArn", absent=_GONE, RoleName=name)
        inline = eyes.collect(_INLINE, "PolicyNames[]", absent=_GONE, RoleName=name)
        # The stack's own policies detach themselves, and go first.
        foreign = [arn for arn in attached if not _is_ours(eyes, arn)]
        steps = (
            *(Step(_DETACH, {"RoleName": name, "PolicyArn": arn}) for arn in foreign),
            *(Step(_DELETE_INLINE, {"RoleName": name, "PolicyName": policy}) for policy in inline),
            Step(_DELETE_ROLE, {"RoleName": name}),
        )
        return eyes.left(name, tags, worldwide=True, name="", arn=role["Arn"], steps=steps)

    roles = [role for role in eyes.collect(_ROLES, "Roles[]") if not role["Path"].startswith(_AWS_OWN)]
    return eyes.each(roles, look)


def _is_ours(eyes: Eyes, policy: str) -> bool:
    """Whether a policy, by its ARN, is one of the stack's own; AWS' managed ones have no account in theirs."""
    if f"::{eyes.caller.account}:" not in policy:
        return False
    tags = tags_of(eyes.collect(_POLICY_TAGS, "Tags[]", absent=_GONE, PolicyArn=policy))
    return eyes.marks.mark(tags, worldwide=True) is not None


def _policies(eyes: Eyes) -> Iterator[Leftover]:
    def look(policy: Item) -> Leftover | None:
        arn = policy["Arn"]
        tags = tags_of(eyes.collect(_POLICY_TAGS, "Tags[]", absent=_GONE, PolicyArn=arn))
        if eyes.marks.mark(tags, worldwide=True) is None:
            return None
        roles = eyes.collect(_ENTITIES, "PolicyRoles[].RoleName", absent=_GONE, PolicyArn=arn)
        old = eyes.collect(_VERSIONS, "Versions[?!IsDefaultVersion].VersionId", absent=_GONE, PolicyArn=arn)
        steps = (
            *(Step(_DETACH, {"RoleName": role, "PolicyArn": arn}) for role in roles),
            *(Step(_DELETE_VERSION, {"PolicyArn": arn, "VersionId": version}) for version in old),
            Step(_DELETE_POLICY, {"PolicyArn": arn}),
        )
        return eyes.left(policy["PolicyName"], tags, worldwide=True, name="", arn=arn, steps=steps)

    return eyes.each(eyes.collect(_POLICIES, "Policies[]", Scope="Local"), look)


PROFILES = Kind(
    name="instance profiles", look=_profiles, reads=(_PROFILES, _PROFILE), deletes=(_REMOVE_ROLE, _DELETE_PROFILE)
)
ROLES = Kind(
    name="IAM roles",
    look=_roles,
    reads=(_ROLES, _ROLE_TAGS, _ATTACHED, _INLINE, _POLICY_TAGS),
    deletes=(_DETACH, _DELETE_INLINE, _DELETE_ROLE),
)
POLICIES = Kind(
    name="IAM policies",
    look=_policies,
    reads=(_POLICIES, _POLICY_TAGS, _ENTITIES, _VERSIONS),
    deletes=(_DETACH, _DELETE_VERSION, _DELETE_POLICY),
)
