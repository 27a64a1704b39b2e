"""How kwok plays kubelets: nodes get ready, pods run, finish and go.

A GPU node joins without any GPU, as real nodes do: `twin.agent.plugin` offers it later. Karpenter's simulated EC2 would
put the physical GPUs on the Node at once; an admission policy takes them off before anybody can see them.
"""

from __future__ import annotations

from typing import Any

import yaml

from twin.kube import Object

#: How long a bound pod takes to get ready: annotation with a duration such as `20s`; at once without it.
START_ANNOTATION = "gpu-slices/twin-start"
#: How long the pod of a Job runs; a second without it.
RUN_ANNOTATION = "gpu-slices/twin-run"
#: How long a pod takes to end when it is told to.
STOP_ANNOTATION = "gpu-slices/twin-stop"

_CONDITIONS = """
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
addresses:
- type: Hostname
  address: {{ .metadata.name | Quote }}
nodeInfo:
  architecture: {{ index .metadata.labels "kubernetes.io/arch" | default "amd64" | Quote }}
  operatingSystem: linux
  kubeletVersion: {{ printf "kwok-%s" Version | Quote }}
  kubeProxyVersion: ""
  containerRuntimeVersion: ""
  kernelVersion: ""
  osImage: ""
  machineID: ""
  systemUUID: ""
  bootID: ""
phase: Running
"""

_RUNNING = """
{{ $now := Now }}
phase: Running
startTime: {{ $now | Quote }}
conditions:
{{ range list "PodReadyToStartContainers" "Initialized" "ContainersReady" "Ready" }}
- type: {{ . | Quote }}
  status: "True"
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  started: true
  restartCount: 0
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
{{ if .spec.initContainers }}
initContainerStatuses:
{{ range .spec.initContainers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  restartCount: 0
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
{{ end }}
{{ end }}
"""

_SUCCEEDED = """
{{ $now := Now }}
phase: Succeeded
conditions:
{{ range list "ContainersReady" "Ready" }}
- type: {{ . | Quote }}
  status: "False"
  reason: PodCompleted
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
{{ end }}
"""


def _stage(name: str, kind: str, conditions: list[tuple[str, str, list[str]]], step: Object, **spec: Any) -> Object:
    expressions = [
        {"jq": {"key": key, "operator": operator, **({"values": values} if values else {})}}
        for key, operator, values in conditions
    ]
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": expressions},
            "steps": [step],
            **spec,
        },
    }


_HERE = (".metadata.deletionTimestamp", "DoesNotExist", list[str]())
_GOING = (".metadata.deletionTimestamp", "Exists", list[str]())
_READY = '.status.conditions.[] | select( .type == "Ready" ) | .status'


def _status(template: str) -> Object:
    return {"patch": {"subresource": "status", "root": "status", "template": template}}


def _delay(milliseconds: int, annotation: str) -> Object:
    """A delay, which an annotation of the object may replace by a duration such as `20s`."""
    expression = f'.metadata.annotations["{annotation}"]'
    return {"durationMilliseconds": milliseconds, "durationFrom": {"jq": {"expression": expression}}}


def stages() -> list[Object]:
    """kwok's stages for nodes and pods."""
    pending = (".status.phase", "In", ["Pending"])
    running = (".status.phase", "In", ["Running"])
    of_job = (".metadata.ownerReferences.[].kind", "In", ["Job"])
    return [
        _stage("node-ready", "Node", [_HERE, (_READY, "NotIn", ["True"])], _status(_CONDITIONS)),
        _stage("pod-running", "Pod", [_HERE, pending], _status(_RUNNING), delay=_delay(0, START_ANNOTATION)),
        _stage(
            "pod-succeeded", "Pod", [_HERE, running, of_job], _status(_SUCCEEDED), delay=_delay(1000, RUN_ANNOTATION)
        ),
        _stage("pod-gone", "Pod", [_GOING], {"delete": True}, delay=_delay(0, STOP_ANNOTATION)),
    ]


#: The API server answers late when hundreds of nodes come at once; kwok's few workers would stand in line for it.
_PARALLEL: Object = {
    "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
    "kind": "KwokConfiguration",
    "options": {"podPlayStageParallelism": 32, "nodePlayStageParallelism": 32, "podsOnNodeSyncParallelism": 8},
}


def stages_file() -> str:
    """kwok's configuration file."""
    return yaml.safe_dump_all([_PARALLEL, *stages()], sort_keys=False)


def no_early_gpus() -> list[Object]:
    """The admission policy: new nodes show no GPU, whatever made them."""
    name = "twin-no-gpu-before-the-device-plugin"
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nodes"]}
                    ]
                },
                # Removing what is not there would be an error.
                "matchConditions": [
                    {
                        "name": "has-gpu",
                        "expression": "has(object.status.capacity) && 'nvidia.com/gpu' in object.status.capacity && "
                        "has(object.status.allocatable) && 'nvidia.com/gpu' in object.status.allocatable",
                    }
                ],
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "mutations": [
                    {
                        "patchType": "JSONPatch",
                        "jsonPatch": {
                            "expression": '[JSONPatch{op: "remove", path: "/status/capacity/nvidia.com~1gpu"}, '
                            'JSONPatch{op: "remove", path: "/status/allocatable/nvidia.com~1gpu"}]'
                        },
                    }
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name},
        },
    ]
