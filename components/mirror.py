"""Every image and every chart of a program from one registry mirror.

Written as a transformation, which Pulumi applies to each resource below the one that has it: nobody who adds a
component or an image can forget it, and the components know nothing of mirrors.

    opts = pulumi.ResourceOptions(providers=[kubernetes], transformations=[from_mirror("mirror.example.com/cache")])

Charts name the images that they run by default; which values do is in `versions.Chart.images`. Knative's operator puts
in place what `versions.KNATIVE_IMAGES` lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import pulumi

import versions
from gpu.registries import chart_in_mirror, in_mirror

Transformation = Callable[[pulumi.ResourceTransformationArgs], pulumi.ResourceTransformationResult | None]

RELEASE: Final = "kubernetes:helm.sh/v3:Release"
_KNATIVE_SERVING: Final = f"kubernetes:{versions.KNATIVE_OPERATOR_API}:KnativeServing"
#: Every chart that a component here installs.
CHARTS: Final = (
    versions.KARPENTER_CRD_CHART,
    versions.KARPENTER_CHART,
    versions.NVIDIA_DEVICE_PLUGIN_CHART,
    versions.GPU_OPERATOR_CHART,
    versions.NVIDIA_DRA_DRIVER_CHART,
    versions.KNATIVE_OPERATOR_CHART,
    versions.PROMETHEUS_CRD_CHART,
    versions.PROMETHEUS_CHART,
    versions.DCGM_EXPORTER_CHART,
)


def from_mirror(mirror: str) -> Transformation:
    """The transformation. mirror: HOST or HOST/PATH, a plain value: what is unknown in a preview, nobody could judge.

    Raises ValueError for a release of a chart that versions.py does not have: its images are not known.
    """

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not args.type_.startswith("kubernetes:"):
            return None
        inputs: dict[str, Any] = dict(args.props)
        if args.type_ == RELEASE:
            inputs = _release(inputs, mirror)
        elif args.type_ == _KNATIVE_SERVING:
            inputs["spec"] = _serving(inputs["spec"], mirror)
        else:
            inputs = _in_objects(inputs, mirror)
        return pulumi.ResourceTransformationResult(inputs, args.opts)

    return transform


def _release(inputs: Mapping[str, Any], mirror: str) -> dict[str, Any]:
    chart = next((chart for chart in CHARTS if chart.chart == inputs["chart"]), None)
    if chart is None:
        raise ValueError(f"chart {inputs['chart']}: which images it runs is not known, so none can come from {mirror}")
    values: dict[str, Any] = dict(inputs.get("values") or {})
    for path, image in chart.images.items():
        for suffix, part in _parts(in_mirror(image, mirror), split=chart.split).items():
            values = _with(values, f"{path}{suffix}".split("."), part)
    rest = {key: value for key, value in inputs.items() if key not in ("repositoryOpts", "values")}
    return {**rest, "chart": chart_in_mirror(chart, mirror), **({"values": values} if values else {})}


def _parts(image: str, *, split: bool) -> Mapping[str, str]:
    """An image by what comes behind its value's path."""
    if not split:
        return {"": image}
    registry, _, repository = image.partition("/")
    return {".registry": registry, ".repository": repository}


def _with(values: Mapping[str, Any], path: list[str], value: str) -> dict[str, Any]:
    """Values of a chart with one more, at its path."""
    first, *rest = path
    return {**values, first: _with(values.get(first) or {}, rest, value) if rest else value}


def _serving(spec: Mapping[str, Any], mirror: str) -> dict[str, Any]:
    """A KnativeServing with all images that the operator would put in place itself.

    The operator replaces `queue-proxy` in what nodes are told to hold ready, and leaves the config map alone by which
    pods get it (knative.dev/operator pkg/reconciler/common/images.go).
    """
    ours = spec["registry"]["override"]
    override = {name: in_mirror(image, mirror) for name, image in {**versions.KNATIVE_IMAGES, **ours}.items()}
    config = spec["config"]
    deployment = {**config["deployment"], "queue-sidecar-image": override["queue-proxy"]}
    return {**spec, "registry": {"override": override}, "config": {**config, "deployment": deployment}}


def _in_objects(value: Any, mirror: str) -> Any:
    """An object of Kubernetes with its images, of containers and of volumes, in the mirror.

    An image that is an output stays: this program builds it (`AppImage`), into a registry of the account.
    """
    if isinstance(value, Mapping):
        return {key: _image(key, inner, mirror) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_in_objects(inner, mirror) for inner in value]
    return value


def _image(key: str, value: Any, mirror: str) -> Any:
    match key, value:
        case "image", str():
            return in_mirror(value, mirror)
        case "image", {"reference": str(reference)}:
            return {**value, "reference": in_mirror(reference, mirror)}
        case _:
            return _in_objects(value, mirror)
