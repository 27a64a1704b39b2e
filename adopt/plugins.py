"""What gives out GPUs in a cluster: NVIDIA's device plugin, the GPU Operator, the DRA driver, and how each shares them.

The plugin's DaemonSet is what its chart made of values; these are put together again, so that one reader
(`policy.sharing`) judges a cluster as it judges a program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from adopt.objects import Object, Objects, at, containers_of, environment, listed, name_of, words
from adopt.plugin_places import comes, intolerant, keep_away, on_bottlerocket, on_ours
from gpu.contract import CONFIG_LABEL, DEVICE_CLASS
from policy.placement import admitted
from policy.registered import Resource

Kind = Literal["device plugin", "GPU Operator", "DRA driver"]


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """Something that gives out GPUs.

    config_map: from which it takes its configurations, in namespace. reaches: whether it would run on nodes of pools of
    ours too. values: of its chart, as far as they say how GPUs are shared. apart: why a stack cannot add
    configurations to its ConfigMap (`gpuSharing.existing`); empty where it can. off: whether it is a GPU Operator whose
    device plugin is off, which gives out nothing. brings: what a GPU Operator puts on new nodes whose images have it.
    supposed: whether it is a GPU Operator of which its DaemonSets alone were seen. meets: whether it would run on nodes
    of ours with Bottlerocket too, beside their own. away: the command that keeps it off nodes of ours, empty without
    one.
    """

    kind: Kind
    name: str
    version: str = ""
    config_map: str = ""
    default: str = ""
    namespace: str = ""
    apart: str = ""
    off: bool = False
    brings: tuple[str, ...] = ()
    supposed: bool = False
    reaches: bool = True
    meets: bool = False
    away: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


def plugins_of(objects: Objects) -> list[Plugin]:
    """All of them, operators first: what these install is theirs."""
    shown = [_operator(each, objects) for each in objects.of("ClusterPolicy", "nvidia.com")]
    operators = shown or _supposed(objects)
    found = [*operators]
    for daemon_set in objects.of("DaemonSet"):
        images = _images(daemon_set)
        if any("dra-driver" in image for image in images):
            found.append(_plain("DRA driver", daemon_set, images))
        elif _offers(daemon_set, images) and not (operators and _owned(daemon_set)):
            found.append(_device_plugin(daemon_set, images, objects))
    classes = [name_of(each) for each in objects.of("DeviceClass") if name_of(each).endswith(DEVICE_CLASS)]
    if classes and not any(each.kind == "DRA driver" for each in found):
        found.append(Plugin(kind="DRA driver", name=classes[0]))
    return found


def _images(daemon_set: Object) -> list[str]:
    return [str(each.get("image", "")) for each in containers_of(daemon_set)]


def _offers(daemon_set: Object, images: list[str]) -> bool:
    """Whether it is a plugin: MPS' control daemon and GPU Feature Discovery have the same image, and offer nothing."""
    others = name_of(daemon_set).endswith(("mps-control-daemon", "gpu-feature-discovery"))
    return any("k8s-device-plugin" in image for image in images) and not others


def _owned(daemon_set: Object) -> bool:
    return _policy_of(daemon_set) is not None or name_of(daemon_set).endswith("-daemonset")


def _policy_of(daemon_set: Object) -> str | None:
    """Name of the ClusterPolicy that made it; None where none did."""
    owners = listed(at(daemon_set, "metadata").get("ownerReferences"))
    return next((_text(owner.get("name")) for owner in owners if owner.get("kind") == "ClusterPolicy"), None)


def _version(images: list[str], word: str) -> str:
    tags = [image.partition("@")[0].rpartition(":")[2] for image in images if word in image and ":" in image]
    return tags[0].removeprefix("v") if tags else ""


def _plain(kind: Kind, daemon_set: Object, images: list[str]) -> Plugin:
    return Plugin(kind=kind, name=name_of(daemon_set), version=_version(images, "dra-driver"))


def _device_plugin(daemon_set: Object, images: list[str], objects: Objects) -> Plugin:
    pod = at(daemon_set, "spec", "template", "spec")
    variables: dict[str, str] = {}
    for container in containers_of(daemon_set):
        variables |= environment(container)
    maps = [at(volume, "configMap").get("name") for volume in listed(pod.get("volumes"))]
    config_map = next((name for name in maps if isinstance(name, str)), "")
    # Mounted by hand, the file is the key of its ConfigMap; the chart names configurations.
    file = variables.get("CONFIG_FILE") or _argument(daemon_set, "--config-file")
    default = variables.get("DEFAULT_CONFIG") or file.rpartition("/")[2]
    config: dict[str, Any] = {"name": config_map, "default": default} if config_map else {}
    if fallbacks := variables.get("FALLBACK_STRATEGIES"):
        config["fallbackStrategies"] = fallbacks.split(",")
    values = {"config": config, "nodeSelector": words(pod.get("nodeSelector")), "tolerations": pod.get("tolerations")}
    if strategy := variables.get("MIG_STRATEGY") or _argument(daemon_set, "--mig-strategy"):
        values["migStrategy"] = strategy
    namespace = _text(at(daemon_set, "metadata").get("namespace"))
    keys = _keys(config_map, namespace, objects)
    return Plugin(
        kind="device plugin",
        namespace=namespace,
        apart=_why_apart(config_map, namespace, variables, keys) or intolerant(pod.get("tolerations")),
        name=name_of(daemon_set),
        version=_version(images, "k8s-device-plugin"),
        config_map=config_map,
        default=default,
        reaches=admitted(pod, on_ours),
        meets=comes(pod, on_bottlerocket(objects)),
        away=keep_away(daemon_set),
        values=values,
    )


# --- Whether it can take configurations of ours -----------------------------------------------------------------------

#: How the chart's sidecar is told which label names a node's configuration, and which one nodes without it get
#: (NVIDIA/k8s-device-plugin, templates/daemonset-device-plugin.yml).
_LABEL, _DEFAULT, _FALLBACKS = "NODE_LABEL", "DEFAULT_CONFIG", "FALLBACK_STRATEGIES"


def _why_apart(config_map: str, namespace: str, variables: Mapping[str, str], keys: tuple[str, ...] | None) -> str:
    if not config_map:
        return "it has no ConfigMap with configurations (config.name of its chart)"
    if variables.get(_LABEL) != CONFIG_LABEL:
        return f"it does not read the nodes' label {CONFIG_LABEL}"
    if not namespace:
        return "nothing tells its namespace"
    single = "single" in variables.get(_FALLBACKS, "").split(",")
    if not variables.get(_DEFAULT) and single and (keys is None or (len(keys) == 1 and "default" not in keys)):
        return "it has no config.default: with a second entry nodes without the label would get no configuration"
    return ""


def _keys(name: str, namespace: str, objects: Objects) -> tuple[str, ...] | None:
    """Entries of a ConfigMap; None where it was not read."""
    for each in objects.of("ConfigMap", ""):
        if name_of(each) == name and at(each, "metadata").get("namespace") == namespace:
            return tuple(words(each.get("data")))
    return None


def _namespaces(name: str, objects: Objects) -> list[str]:
    """Where ConfigMaps of that name are."""
    named = [each for each in objects.of("ConfigMap", "") if name_of(each) == name]
    return sorted({_text(at(each, "metadata").get("namespace")) for each in named} - {""})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _argument(daemon_set: Object, option: str) -> str:
    """The value of an option of its containers, written `--option=value` or as two words; empty without it."""
    for container in containers_of(daemon_set):
        given = [each for name in ("command", "args") for each in _texts(container.get(name))]
        for index, word in enumerate(given):
            if word.startswith(f"{option}="):
                return word.partition("=")[2]
            if word == option and index + 1 < len(given):
                return given[index + 1]
    return ""


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _operator(policy: Object, objects: Objects) -> Plugin:
    spec = at(policy, "spec")
    config = words(at(spec, "devicePlugin").get("config"))
    values = {
        "devicePlugin": {"config": dict(config), "enabled": _is_on(spec, "devicePlugin")},
        "mig": dict(words(spec.get("mig"))),
        "migManager": {"enabled": _is_on(spec, "migManager")},
    }
    name = config.get("name", "")
    spaces = _namespaces(name, objects) if name else []
    return Plugin(
        kind="GPU Operator",
        namespace=spaces[0] if len(spaces) == 1 else "",
        apart=_why_operator_apart(spec, name, spaces),
        off=not _is_on(spec, "devicePlugin"),
        brings=tuple(part for key, part in _PARTS.items() if _is_on(spec, key)),
        name=name_of(policy),
        version=str(at(spec, "devicePlugin").get("version") or "").removeprefix("v"),
        config_map=name,
        default=config.get("default", ""),
        values=values,
    )


def _supposed(objects: Objects) -> list[Plugin]:
    """A GPU Operator of which nobody saw its ClusterPolicy, by the DaemonSets that it made; the rest as by default."""
    made = [each for each in objects.of("DaemonSet") if _policy_of(each) is not None]
    if not made:
        return []
    known = Plugin(
        kind="GPU Operator", name=_policy_of(made[0]) or "", off=True, brings=tuple(_PARTS.values()), supposed=True
    )
    plugin = next((each for each in made if _offers(each, _images(each))), None)
    if plugin is None:
        return [known]
    found = _device_plugin(plugin, _images(plugin), objects)
    values = {
        "devicePlugin": {"config": found.values["config"], "enabled": True},
        "mig": {"strategy": strategy} if (strategy := found.values.get("migStrategy")) else {},
        "migManager": {"enabled": True},
    }
    return [
        replace(
            known,
            off=False,
            version=found.version,
            namespace=found.namespace,
            config_map=found.config_map,
            default=found.default,
            apart=found.apart,
            values=values,
        )
    ]


#: Parts of a GPU Operator that nodes of ours have by their image, or cut by themselves, as a ClusterPolicy calls them.
_PARTS: Final[Mapping[str, str]] = {"driver": "driver", "toolkit": "toolkit", "migManager": "MIG manager"}


def _is_on(spec: Mapping[str, Any], part: str) -> bool:
    """Whether a part runs: it does unless it is off (gpu-operator api/nvidia/v1/clusterpolicy_types.go IsEnabled)."""
    return at(spec, part).get("enabled") is not False


def _why_operator_apart(spec: Mapping[str, Any], config_map: str, spaces: list[str]) -> str:
    if not config_map:
        return "it has no ConfigMap with configurations (devicePlugin.config.name)"
    if len(spaces) != 1:
        return f"nothing tells in which namespace its ConfigMap {config_map} is: export ConfigMaps too"
    # Without any it gives its DaemonSets the one of GPU nodes (gpu-operator assets/state-device-plugin).
    given = at(spec, "daemonsets").get("tolerations")
    return intolerant(given) if given else ""


def releases(plugins: list[Plugin]) -> list[Resource]:
    """The plugins as releases of their charts, which `policy.sharing` reads."""
    charts = {"device plugin": "nvidia-device-plugin", "GPU Operator": "gpu-operator"}
    return [
        Resource(
            type="kubernetes:helm.sh/v3:Release",
            name=plugin.name,
            urn=f"{plugin.kind} {plugin.name}",
            props={"chart": charts[plugin.kind], "values": dict(plugin.values)},
        )
        for plugin in plugins
        if plugin.kind in charts
    ]
