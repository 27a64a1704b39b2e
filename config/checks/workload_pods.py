"""Checks of what a workload's pods say beside their GPU: when they run, variables, ports, probes, labels, rights."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Final

from config.checks.parts import all_of, attempt, twice
from config.errors import MISSING, Path, Problem, listed
from config.fields import LABEL_NAME, LABEL_VALUE
from config.schedule import ScheduleError, parse_schedule
from config.workload_schema import Container, EnvFrom, EnvVar, Probe, Workload
from gpu.contract import MIN_SECURITY_REASON, NAME_LABEL, OURS, VISIBLE_DEVICES
from gpu.pods import GPU_USER
from gpu.pool import Pool

#: Beginnings of names that are not for stack files.
_TAKEN: Final = (
    *(OURS, "pulumi.com/", "kubernetes.io/", "pod-security.kubernetes.io/", "batch.kubernetes.io/"),
    # What would weaken a container past its securityContext, and namespaces refuse then.
    *("container.apparmor.security.beta.kubernetes.io/", "container.seccomp.security.alpha.kubernetes.io/"),
    "seccomp.security.alpha.kubernetes.io/",
)
#: Labels by which Services, Deployments and Jobs know their pods.
_TAKEN_NAMES: Final = frozenset({NAME_LABEL, "controller-uid", "job-name", "pod-template-hash"})


def check_pod(workload: Workload, path: Path) -> Iterator[Problem]:
    """Everything about a workload that is the same on all pools."""
    yield from attempt(_times(workload, path))
    yield from attempt(_autoscaling(workload, path))
    yield from attempt(_labels(workload, path))
    yield from attempt(_annotations(workload, path))
    yield from attempt(_rights(workload, path))
    yield from attempt(_ports(workload, path))
    containers: Sequence[Container | None] = workload.__dict__.get("containers", ())
    for index, container in enumerate(containers):
        if container is not None:
            place = (*path, "containers", index)
            yield from attempt(_variables(container, place))
            yield from attempt(_sources(container, place))
            for key, probe in _probes(container).items():
                if probe:
                    yield from attempt(_probe(probe, (*place, key)))


def _times(workload: Workload, path: Path) -> Iterator[Problem]:
    given = {
        "schedule": workload.schedule,
        "timeZone": workload.time_zone,
        "concurrencyPolicy": workload.concurrency_policy if workload.concurrency_policy != "Forbid" else None,
    }
    if workload.kind != "CronJob":
        for key, value in given.items():
            if value is not None:
                yield Problem((*path, key), value, f"is for a CronJob: write kind: CronJob, or remove {key}")
        return
    if workload.schedule is None:
        yield Problem((*path, "schedule"), MISSING, 'is missing: write when it runs, such as "30 3 * * 1-5"')
        return
    try:
        schedule = parse_schedule(workload.schedule)
    except ScheduleError as error:
        yield Problem((*path, "schedule"), workload.schedule, str(error))
        return
    if not schedule.runs_per_year:
        yield Problem((*path, "schedule"), workload.schedule, "names no day that ever comes")


def _autoscaling(workload: Workload, path: Path) -> Iterator[Problem]:
    section = workload.autoscaling
    if section is None:
        return
    if workload.kind == "KnativeService":
        message = "is for a Deployment: a KnativeService has as many pods as its requests need; write maxScale"
        yield Problem((*path, "autoscaling"), MISSING, message)
        return
    if workload.kind != "Deployment":
        message = f"is for a Deployment: a {workload.kind} has the pods that it begins with; write replicas"
        yield Problem((*path, "autoscaling"), MISSING, message)
    if workload.replicas != 1:
        message = "is not read beside autoscaling, which has minReplicas and maxReplicas: remove it"
        yield Problem((*path, "replicas"), workload.replicas, message)
    if section.min_replicas > section.max_replicas:
        message = f"must be {section.max_replicas} or less, which is maxReplicas"
        yield Problem((*path, "autoscaling", "minReplicas"), section.min_replicas, message)


def _labels(workload: Workload, path: Path) -> Iterator[Problem]:
    yield from marks(workload.labels, (*path, "labels"), values=True)


def _annotations(workload: Workload, path: Path) -> Iterator[Problem]:
    yield from marks(workload.annotations, (*path, "annotations"), values=False)


def marks(given: Mapping[str, str], path: Path, *, values: bool, taken: Sequence[str] = _TAKEN) -> Iterator[Problem]:
    """Labels or annotations. values: whether they are labels, whose values are as short as names.

    taken: what the names of others' begin with.
    """
    for name, value in given.items():
        place = (*path, name)
        prefix = next((each for each in taken if name.startswith(each)), None)
        if prefix or name in _TAKEN_NAMES:
            yield Problem(
                place, value, f"has a name that is taken: {prefix or name} is written by this program or Kubernetes"
            )
        elif not LABEL_NAME.fullmatch(name):
            message = "has a name that Kubernetes refuses: at most 63 letters, digits, - _ and ., after a domain and /"
            yield Problem(place, value, message)
        elif values and not LABEL_VALUE.fullmatch(value):
            yield Problem(place, value, "must be at most 63 letters, digits, - _ and ., as values of labels are")


def _rights(workload: Workload, path: Path) -> Iterator[Problem]:
    """What weakens the pods is asked for by name, with a reason."""
    asked = []
    if workload.security_context.run_as_user == 0:
        asked.append("securityContext: {runAsUser: 0}")
    if not all(each.security_context.read_only_root_filesystem for each in all_of(workload.containers)):
        asked.append("readOnlyRootFilesystem: false")
    if workload.automount_service_account_token:
        asked.append("automountServiceAccountToken: true")
    reason = workload.security_reason
    place = (*path, "securityReason")
    if reason is None and asked:
        message = f"is missing: write why it needs {listed(asked, 'and')}"
        yield Problem(place, MISSING, message)
    elif reason is not None and not asked:
        message = "is the reason for nothing: the workload may no more than others; remove it"
        yield Problem(place, reason, message)
    elif reason is not None and len(reason.strip()) < MIN_SECURITY_REASON:
        yield Problem(place, reason, f"must give the reason, in {MIN_SECURITY_REASON} characters or more")


def check_user(workload: Workload, path: Path, pool: Pool | None) -> Iterator[Problem]:
    """Whose pods they are, where the pool's daemon serves one user."""
    user = workload.security_context.run_as_user
    if pool and pool.profile.strategy == "mps" and user != GPU_USER:
        message = f"must be {GPU_USER} on an MPS pool: an MPS server serves one user, that of all pods with slots"
        yield Problem((*path, "securityContext", "runAsUser"), user, message)


def _ports(workload: Workload, path: Path) -> Iterator[Problem]:
    if workload.kind == "KnativeService":
        return  # has one, and rules of its own: `config.checks.knative`
    found = [
        (port, (*path, "containers", index, "ports", position))
        for index, container in enumerate(all_of(workload.containers))
        for position, port in enumerate(all_of(container.ports))
    ]
    if workload.kind != "Deployment" and found:
        yield Problem(
            (*path, "containers"), MISSING, f"have ports, but a {workload.kind} is called by nobody: remove them"
        )
    if workload.client_namespaces and not found:
        message = "lead nowhere: no container has ports; write them, or remove it"
        yield Problem((*path, "clientNamespaces"), list(workload.client_namespaces), message)
    yield from twice((*path, "clientNamespaces"), workload.client_namespaces)
    numbers: set[int] = set()
    names: set[str] = set()
    for port, place in found:
        if port.container_port in numbers:
            yield Problem(
                (*place, "containerPort"),
                port.container_port,
                "is a port of this pod already: choose another",
            )
        if port.name is None and len(found) > 1:
            yield Problem((*place, "name"), MISSING, "is missing: of several ports each needs a name")
        elif port.name in names:
            yield Problem((*place, "name"), port.name, "is the name of a port of this pod already: choose another")
        numbers.add(port.container_port)
        names |= {port.name} if port.name else set()


def _variables(container: Container, path: Path) -> Iterator[Problem]:
    seen: set[str] = set()
    variables: Sequence[EnvVar | None] = container.env
    for index, variable in enumerate(variables):
        if variable is None:
            continue
        place = (*path, "env", index)
        if variable.name in seen:
            yield Problem((*place, "name"), variable.name, "is listed twice")
        seen.add(variable.name)
        if variable.name == VISIBLE_DEVICES:
            message = "chooses GPUs past the device plugin: slots does that; remove it"
            yield Problem((*place, "name"), variable.name, message)
        yield from attempt(_value(variable, place))


def _value(variable: EnvVar, path: Path) -> Iterator[Problem]:
    given = {"value": variable.value, "valueFrom": variable.value_from}
    yield from _exactly_one(given, path)
    if source := variable.value_from:
        refs = {"secretKeyRef": source.secret_key_ref, "configMapKeyRef": source.config_map_key_ref}
        yield from _exactly_one(refs, (*path, "valueFrom"))


def _sources(container: Container, path: Path) -> Iterator[Problem]:
    sources: Sequence[EnvFrom | None] = container.env_from
    for index, source in enumerate(sources):
        if source is not None:
            place = (*path, "envFrom", index)
            yield from attempt(_source(source, place))
            yield from attempt(_prefix(source, container, place))


def _source(source: EnvFrom, path: Path) -> Iterator[Problem]:
    yield from _exactly_one({"secretRef": source.secret_ref, "configMapRef": source.config_map_ref}, path)


def _prefix(source: EnvFrom, container: Container, path: Path) -> Iterator[Problem]:
    """Nobody sees the keys: one could be the name by which a container chooses GPUs."""
    prefix = source.prefix
    if container.slots and (prefix is None or VISIBLE_DEVICES.startswith(prefix)):
        message = (
            f"must be there, and another than the beginning of {VISIBLE_DEVICES}: a key of that name would choose GPUs "
            "past the device plugin; write a prefix such as APP_, or the variables one by one under env"
        )
        yield Problem((*path, "prefix"), MISSING if prefix is None else prefix, message)


def _probes(container: Container) -> Mapping[str, Probe | None]:
    found: dict[str, Probe | None] = {}
    for key, field in {
        "startupProbe": "startup_probe",
        "readinessProbe": "readiness_probe",
        "livenessProbe": "liveness_probe",
    }.items():
        found[key] = container.__dict__.get(field)  # a broken one is said already
    return found


def _probe(probe: Probe, path: Path) -> Iterator[Problem]:
    given = {"httpGet": probe.http_get, "tcpSocket": probe.tcp_socket, "exec": probe.exec}
    yield from _exactly_one(given, path)


def _exactly_one(given: Mapping[str, Hashable | None], path: Path) -> Iterator[Problem]:
    """Of some keys one must be there."""
    yield from exactly_one({key: value is not None for key, value in given.items()}, path)


def exactly_one(given: Mapping[str, bool], path: Path) -> Iterator[Problem]:
    """Of some keys one must be there. given: which are."""
    there: Sequence[str] = [key for key, is_there in given.items() if is_there]
    if not there:
        yield Problem(path, MISSING, f"has none of {listed(given, 'and')}: write one of them")
    elif len(there) > 1:
        yield Problem(path, MISSING, f"has {listed(there, 'and')}: exactly one may be there")
