"""Releases of Helm charts, whoever installs them: with the values that reach the chart, and what is inside both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pulumi

from policy.inventory.item import Blind, Item, without_nothing
from policy.inventory.kubernetes import objects, operations
from policy.inventory.texts import ROOTS, content_of, file_content, first, of_values, parsed, rendered
from policy.placeholders import GO, filled
from policy.reading import Unknown, each, get, present, text

Found = Iterator[Item | Blind]

RELEASE: Final = "kubernetes:helm.sh/v3:Release"
#: Charts that rules judge by their values, also inside others: below a key of the chart's name.
_INSIDE: Final = ("gpu-operator", "karpenter", "nvidia-device-plugin", "ollama")


def release(item: Item) -> Found:
    """A release: its values together, the objects in them, the charts inside it, and its templates if it lies here."""
    values, blind = _values(item)
    yield from blind
    if isinstance(values, Unknown):
        yield Blind(item.at("values"), "are unknown in preview")
        yield item.alone()
        return
    props = {key: value for key, value in item.props.items() if key != "valueYamlFiles" or blind}
    chart = _local(item.props.get("chart") or item.props.get("path"))
    if chart:
        values = over(_defaults(chart), values)
    yield Item(item.type, {**props, "values": values} if values else props, item.place, item.name, (), True)
    # Of a chart that lies here the templates say what is an object, and what is a text about one.
    yield from objects(values, item.at("values"), texts=chart is None)
    aliases = _dependencies(chart)
    for key, inner in values.items():
        name = aliases.get(key, key)
        inside = name in _INSIDE and not text(item.props.get("chart")).endswith(name)
        if inside and isinstance(inner, Mapping) and inner.get("enabled") is not False:
            yield Item(RELEASE, {**_around(item), "chart": name, "values": inner}, item.at("values", key), name)
    if chart:
        yield from _templates(chart, values)


def _around(item: Item) -> dict[str, Any]:
    return {key: item.props[key] for key in ("namespace",) if key in item.props}


def _values(item: Item) -> tuple[dict[str, Any] | Unknown, list[Blind]]:
    """The values that reach the chart: those of files first, as Helm takes them."""
    merged: dict[str, Any] = {}
    blind = []
    files = item.props.get("valueYamlFiles")
    for index, asset in enumerate([files] if isinstance(files, Unknown) else each(files)):
        content = content_of(asset) if isinstance(asset, pulumi.Asset) else None
        if content is None:
            blind.append(Blind(item.at("valueYamlFiles", index), "cannot be read here"))
            continue
        for document in parsed(content + "\n")[:1]:
            merged = over(merged, document)
    given = item.props.get("values")
    if isinstance(given, Unknown):
        return given, blind
    return over(merged, given), blind


def over(base: Mapping[str, Any], upper: Any) -> dict[str, Any]:
    """Values laid over others, as Helm does: maps are merged, all else is replaced, null removes."""
    merged = dict(base)
    for key, value in upper.items() if isinstance(upper, Mapping) else ():
        below = merged.get(key)
        merged[key] = over(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged


def lies_here(props: Mapping[str, Any]) -> bool:
    """Whether a release's chart is a folder that can be read, so that its objects are known."""
    return _local(props.get("chart") or props.get("path")) is not None


def _local(chart: Any) -> Path | None:
    """Folder of a chart that lies here."""
    if not isinstance(chart, str) or not chart or "\0" in chart or "://" in chart:
        return None
    return next((root / chart for root in ROOTS if file_content(root / chart / "Chart.yaml") is not None), None)


def _dependencies(chart: Path | None) -> dict[str, str]:
    """Names under which values of inner charts stand, to the charts' own."""
    content = file_content(chart / "Chart.yaml") if chart else None
    listed = get(first(content or ""), "dependencies")
    return {text(get(one, "alias")) or text(get(one, "name")): text(get(one, "name")) for one in each(listed)}


def _defaults(chart: Path) -> dict[str, Any]:
    """A chart's own values."""
    return over({}, first(file_content(chart / "values.yaml") or ""))


def _templates(chart: Path, values: Mapping[str, Any]) -> Found:
    """Objects of a chart that lies here, filled in with its values, and those of the charts in it."""
    resolve = of_values(values)
    for folder in ("templates", "crds"):
        for file in sorted((chart / folder).rglob("*.y*ml")):
            content = file_content(file.absolute())
            place = f"{chart.name}/{file.relative_to(chart)}"
            for document in rendered(content, resolve) if content else ():
                yield from objects(document, place)
    for inner in sorted((chart / "charts").glob("*/Chart.yaml")):
        below = over({"global": values.get("global")}, values.get(inner.parent.name))
        yield from _templates(inner.parent, over(_defaults(inner.parent), below))


def argo(item: Item) -> Found:
    """Argo CD's Application: one source, or several."""
    yield from _argo(item, item.props.get("spec"), "spec")


def argo_set(item: Item) -> Found:
    """A template of Applications; what a generator fills in is not known."""
    template = filled(get(item.props, "spec", "template", "spec"), GO)
    yield from _argo(item, template, "spec.template.spec")


def _argo(item: Item, spec: Any, place: str) -> Found:
    sources = [(get(spec, "source"), f"{place}.source")]
    sources += ((one, f"{place}.sources.{index}") for index, one in enumerate(each(get(spec, "sources"))))
    namespace = get(spec, "destination", "namespace")
    for source, here in sources:
        if isinstance(source, Unknown):
            yield Blind(item.at(here), "is unknown in preview")
        if not isinstance(source, Mapping):
            continue
        helm = source.get("helm")
        # Where both stand, Argo CD reads the object alone (`pkg/apis/application/v1alpha1/values.go`).
        given = get(helm, "valuesObject")
        values = over({}, given) if isinstance(given, Mapping) else _text_values(get(helm, "values"))
        for parameter in each(get(helm, "parameters")):
            values = _set(values, text(get(parameter, "name")), get(parameter, "value"))
        for name in ("values", "valuesObject"):
            if isinstance(get(helm, name), Unknown):
                yield Blind(item.at(here, "helm", name), "is unknown in preview")
        for name in ("valueFiles", "fileParameters"):
            if present(helm, name):
                yield Blind(item.at(here, "helm", name), "lie elsewhere")
        chart = source.get("chart") or text(source.get("path")).rpartition("/")[2]
        if helm is not None or source.get("chart"):
            yield _release(item, chart, values, namespace, here)
        yield from objects(source.get("kustomize"), item.at(here, "kustomize"))
        for index, patch in enumerate(each(get(source, "kustomize", "patches"))):
            changes = item.at(here, "kustomize.patches", index)
            yield from operations(get(patch, "patch"), get(patch, "target"), changes)
        filled_in = {text(get(one, "name")): get(one, "value") for one in each(get(source, "plugin", "env"))}
        if filled_in:
            yield _release(item, chart, filled_in, namespace, f"{here}.plugin.env")


def _release(item: Item, chart: Any, values: Mapping[str, Any], namespace: Any, place: str) -> Item:
    props = {"chart": chart, "values": dict(values), "namespace": namespace}
    known = without_nothing(props)
    return Item(RELEASE, known | _marked(item), item.at(place), item.name)


def _marked(item: Item) -> dict[str, Any]:
    """Annotations of what installs the chart: a justification may stand there."""
    annotations = get(item.props, "metadata", "annotations")
    return {"annotations": annotations} if annotations is not None else {}


def _text_values(given: Any) -> Mapping[str, Any]:
    found = first(given) if isinstance(given, str) else None
    return found if isinstance(found, Mapping) else {}


def _set(values: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Values with one set by Helm's dotted path."""
    key, dot, rest = path.partition(".")
    below = values.get(key)
    inner = _set(below if isinstance(below, Mapping) else {}, rest, value) if dot else value
    return {**values, key: inner}


def flux(item: Item) -> Found:
    """Flux' HelmRelease."""
    spec = item.props.get("spec")
    for name in ("values", "chart"):
        if isinstance(get(spec, name), Unknown):
            yield Blind(item.at("spec", name), "is unknown in preview")
    for path in (("valuesFrom",), ("chart", "spec", "valuesFiles")):
        if present(spec, *path):
            yield Blind(item.at("spec", *path), "lie elsewhere")
    values = get(spec, "values")
    namespace = get(spec, "targetNamespace") or get(item.props, "metadata", "namespace")
    chart = get(spec, "chart", "spec", "chart") or get(spec, "chartRef", "name")
    yield _release(item, chart, values if isinstance(values, Mapping) else {}, namespace, "spec")
    for renderer in each(get(spec, "postRenderers")):
        for patch in each(get(renderer, "kustomize", "patches")):
            for found in objects(get(patch, "patch"), item.at("spec.postRenderers")):
                yield Item(f"{found.type}Patch", found.props, found.place, found.name)
            yield from operations(get(patch, "patch"), get(patch, "target"), item.at("spec.postRenderers"))


def k3s(item: Item) -> Found:
    """The HelmChart of k3s and RKE2."""
    spec = item.props.get("spec")
    content = get(spec, "valuesContent")
    if isinstance(content, Unknown):
        yield Blind(item.at("spec.valuesContent"), "is unknown in preview")
    if isinstance(get(spec, "values"), Unknown):
        yield Blind(item.at("spec.values"), "is unknown in preview")
    if present(spec, "valuesSecrets"):
        yield Blind(item.at("spec.valuesSecrets"), "lie elsewhere")
    # helm-controller lays `values` over the text (`pkg/controllers/chart/chart.go`).
    values: Mapping[str, Any] = over(_text_values(content), get(spec, "values"))
    given = get(spec, "set")
    for path, value in given.items() if isinstance(given, Mapping) else ():
        values = _set(values, str(path), value)
    yield _release(item, get(spec, "chart"), values, get(spec, "targetNamespace"), "spec")


def k3s_config(item: Item) -> Found:
    """The HelmChartConfig of k3s and RKE2: values over those of a chart of its name, of which the rest is elsewhere."""
    spec = item.props.get("spec")
    content = get(spec, "valuesContent")
    if isinstance(content, Unknown):
        yield Blind(item.at("spec.valuesContent"), "is unknown in preview")
    if present(spec, "valuesSecrets"):
        yield Blind(item.at("spec.valuesSecrets"), "lie elsewhere")
    values = over(_text_values(content), get(spec, "values"))
    part = _release(item, text(get(item.props, "metadata", "name")), values, None, "spec")
    yield replace(part, type=f"{RELEASE}Patch").alone()
    yield from objects(dict(values), item.at("spec.valuesContent"))


def crossplane(item: Item) -> Found:
    """The Release of Crossplane's provider-helm."""
    given = get(item.props, "spec", "forProvider")
    values = get(given, "values")
    if isinstance(values, Unknown):
        yield Blind(item.at("spec.forProvider.values"), "is unknown in preview")
    if present(given, "valuesFrom"):
        yield Blind(item.at("spec.forProvider.valuesFrom"), "lie elsewhere")
    merged: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
    for entry in each(get(given, "set")):
        merged = _set(merged, text(get(entry, "name")), get(entry, "value"))
    yield _release(item, get(given, "chart", "name"), merged, get(given, "namespace"), "spec.forProvider")
