"""Writes docs/policies.md from the rules themselves: `python -m policy.document`; `--check` only compares."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gpu.contract import STACK_TAG
from policy.framework import ResourceRule, Rule
from policy.pack import RULES

TARGET: Final = Path(__file__).resolve().parent.parent / "docs" / "policies.md"

#: First word of a rule's name to the heading it stands under.
_AREAS: Final = {
    "gpu": "GPUs and their sharing",
    "ollama": "Models",
    "eks": "Cluster",
    "node": "Nodes",
    "k8s": "Workloads",
    "vpc": "Network",
    "iam": "Permissions",
    "kms": "Keys",
    "ecr": "Images",
    "sqs": "Queues",
    "logs": "Logs",
    "tags": "Tags",
    "contents": "What could not be judged",
}

_HEAD: Final = f"""# Policies

The pack in `policy/` judges resources by their inputs alone, so it works on any Pulumi program that builds an EKS GPU
platform, whatever its components are called. This page is written from the rules: `python -m policy.document`.

## Use it in any repository

```console
$ make policy-pack TO=../theirs/gpu-policies        # here: a folder with the pack, what it needs, its lock, this page
$ (cd ../theirs/gpu-policies && pulumi install)     # once: an environment of its own, Pulumi's SDK and PyYAML
$ pulumi preview --policy-pack ../gpu-policies      # in their program, a folder beside it, in any language
```

The folder may be committed there, and `make policy-pack` brings it up to date. It asks for no provider of Pulumi's and
no program of ours. In this repository the pack is `policy/`, and its environment is the repository's.

## Judge files without running anything

```console
$ slices judge preview.json k8s/                       # all that is given, as one platform
$ pulumi preview --json --show-sames | slices judge -
$ terraform show -json plan.bin | slices judge - --config policies.json
```

`slices judge` needs no account, no network and no other tool, and says of each finding where it stands: file and line
of an object, URN in Pulumi, address in Terraform. It tells by content what a file is:

| from | what is given |
|---|---|
| Pulumi | `pulumi preview --json`, its stream of events, `pulumi stack export`, a checkpoint of one's own backend |
| Terraform | `terraform show -json` of a plan or a state, `terraform.tfstate`, `*.tf.json` |
| Kubernetes | YAML and JSON: files, folders, what `kubectl get -o yaml`, `helm template`, `kubectl kustomize` print |
| CloudFormation | a template |

Exit status: 0, 2 if something that was named cannot be read, 3 if a mandatory rule is violated, 5 if none is and a file
below a folder cannot be read, or there was nothing to judge. `--json` prints `schemaVersion`, `resources` (how many),
`read` (files of each kind), `verdicts` (as of `slices plan --json`, each with `file`, `line` and `address`) and
`unseen` (`file`, `line`, `address`, `what`, and `broken`: it ought to be readable).

## Levels and settings

* `slices plan <stack>` runs the same rules on the plan of this repository's program; a mandatory violation exits 3.
* Mandatory rules stop an update, advisory ones only warn. Change levels and options with
  `--policy-pack-config config.json`, or `--config config.json` of `slices judge`:

```json
{{
  "all": "advisory",
  "gpu-on-demand-needs-justification": {{"enforcementLevel": "mandatory", "maxDays": 30}}
}}
```

This repository's own configuration is `policy/config.json`. It raises the GPU ceiling of the `local` stack, which runs
on the twin, where GPUs cost nothing, and asks for the tag `{STACK_TAG}`, by which the budget counts. It exempts no
stack from any rule.

## How it reads

A value that a rule needs and that is not known in preview counts as a violation. The policy SDK alone would let it
pass the preview, and stop the update half way. Numbers are read as Kubernetes reads quantities, and AWS integers: what
is neither (`inf`, `nan`, `1_6`) is said like an unknown value. A key with an empty or false value is not there.

A placeholder is such a value: what Helm, Argo, Jinja, Terraform, Flux, kro, Kubernetes, Tekton, Harness, CodePipeline,
CircleCI, ERB, Concourse, Nomad or a shell fill in later (`{{{{ }}}}`, `${{ }}`, `$( )`, `<+ >`, `%{{ }}`, `#{{ }}`,
`<< >>`, `<% %>`, `(( ))`, `[[ ]]`, `$NAME`). As a value or a part of a word it may be anything, with or without a
default beside it. Of a reference, as in `ollama/ollama:${{TAG}}`, the rest is judged; of a command, what is filled in
as the type of a machine.

What a resource carries is judged like a resource of its own, and findings name its place inside: objects in lists,
texts, commands, patches, values of charts and charts that lie here; in releases of Argo CD, Flux, k3s and Crossplane,
in compositions of kro and Crossplane; and resources of AWS in CloudFormation, Cloud Control, AWS Native, ACK,
Crossplane and bridged providers, Cluster API and eksctl, with the defaults of each. What cannot be read is told by
[contents-can-be-seen](#contents-can-be-seen).

Pods of operators are read by the APIs of their kinds: KServe (InferenceService, its models and workers, runtimes,
LLMInferenceService), Kubeflow's training operator and Trainer, KubeRay, Volcano, JobSet, LeaderWorkerSet, Argo
Workflows and Rollouts, KEDA's ScaledJob, Spark's operator, Knative. What ends is judged as a Job is. Where another
object adds to a pod, as a runtime to a TrainJob or to a model of KServe, what the program says is judged, and nothing
is said of what is missing. Pods of other kinds are found by their shape.

Rules about the stack as a whole see inputs as well, so that a first preview judges what the update would. The engine
shows stack policies only outputs, and an object of a cluster that does not exist yet has none; so each rule about
single resources keeps the inputs that it is shown. Leave at least one of these on: with all of them disabled, rules
about the stack say that they cannot judge. What the program only reads or imports is judged by its outputs.
The engine shows resources in another order each time; these rules get them sorted by URN, so that verdicts stay.

Components of pulumi-eks 4.1 to 4.3 tell the engine no inputs. They are judged by what is inside them: the cluster, node
group, launch template or launch configuration. `slices plan` has their inputs and comes to the same verdicts.

## What it cannot see

* what only exists after the update: objects that a controller makes of a custom resource it does not know, what a
  Helm chart renders from values that no rule reads, what somebody changes by hand;
* resources of another stack or state, which a program names by their ids: a launch template that is defined elsewhere
  is not judged where it is used;
* programs in languages that it does not read (KCL, CUE and HCL inside an object), ConfigMaps that something applies,
  and a text that names a GPU type among other words (`gpu=g5.xlarge:0-10`): the first is told, the others are not;
* what a function does with a list of GPU types in its variables, unless its code lies here and starts machines; nor
  what a chart's containers do with GPU types in a variable that is not called an instance type;
* what a HelmChartConfig of k3s or RKE2 changes of a chart elsewhere: purchases and objects in its values are judged,
  settings of known charts are not;
* what a component or a module of somebody's does with inputs that are about a cluster, not machines
  (`endpoint_public_access` of a Terraform module, `exposeType` of a KubeVela component), and limits of pools that a
  chart from elsewhere makes of its values;
* an unknown value below a key that somebody made up, or in the settings of an AWS service that may be about GPUs:
  unknown values are told below keys that by their names hold objects, pods, machines or commands;
* what a command fetches before it applies or runs it (`kubectl apply -f https://...`, `curl ... | sh`), and what it
  unpacks by other means than base64;
* ways to a server that no object of the cluster names: a tunnel's own configuration, or what stands before ports of
  nodes (`NodePort`);
* an unknown principal in `aws-auth` or an identity mapping, and an unknown scheme of an IngressClassParams or a
  LoadBalancerConfiguration: it may be what the rule forbids, and nothing is said;
* a text in base64, or the type of a machine in a command that also asks (`describe-...`), where another tool fills it
  in later: nothing is said of these either;
* which load balancer a target group of a TargetGroupBinding is behind, where it is written inside a list, a chart or
  another carrier: a binding that leads to Ollama counts as public there, also where the balancer is internal;
* GPUs of other clouds than AWS.

And `slices judge`, which runs nothing:

* of a preview what it lists: resources that do not change only with `--show-sames`. Secrets are not known (of a state,
  `--show-secrets` tells them). What a program only reads is left out;
* of Terraform no HCL, no module of a `*.tf.json`, no data source. Expressions of a `*.tf.json` are values that are not
  known; so are those of a plan that depend on an update. What the provider fills in counts as not written, and so does
  a dynamic block whose number is not known. Inside clusters `kubernetes_manifest`, `kubectl_manifest`,
  `helm_release` and what runs pods, `kubernetes_deployment` and its like, are read; other kinds are told as not seen.
  Rules name inputs as Pulumi does: `vpcConfig` is `vpc_config`;
* of Kubernetes no templates of charts, and neither patches nor generators of kustomizations. It says so, and what to
  print instead.

## Rules

Scanner ids name the check that looks for the same thing: Checkov (`CKV_...`), Trivy (`AWS-...`) and the CIS Amazon EKS
Benchmark 1.8. A rule without ids has no equal there.
"""


def document() -> str:
    """The page. Raises ValueError for a rule whose name begins with a word that has no heading."""
    unplaced = [rule.name for rule in RULES if _area(rule) not in _AREAS]
    if unplaced:
        raise ValueError(f"rules of no known area: {', '.join(unplaced)}; add the first word of the name to _AREAS")
    parts = [_HEAD, *_overview()]
    for area, heading in _AREAS.items():
        rules = [rule for rule in RULES if _area(rule) == area]
        if rules:
            parts.append(f"## {heading}\n")
            parts += [_section(rule) for rule in sorted(rules, key=lambda rule: rule.name)]
    return "\n".join(parts)


def _area(rule: Rule) -> str:
    return rule.name.partition("-")[0]


def _overview() -> Iterator[str]:
    yield "| rule | level | severity | Checkov | Trivy | CIS EKS |"
    yield "|---|---|---|---|---|---|"
    for rule in sorted(RULES, key=lambda rule: (list(_AREAS).index(_area(rule)), rule.name)):
        ids = (rule.scanners.checkov, rule.scanners.trivy, rule.scanners.cis)
        cells = (", ".join(found) for found in ids)
        yield f"| [{rule.name}](#{rule.name}) | {rule.level.value} | {rule.severity.value} | {' | '.join(cells)} |"
    yield ""


def _section(rule: Rule) -> str:
    scope = "each resource" if isinstance(rule, ResourceRule) else "the stack as a whole"
    lines = [
        f"### {rule.name}\n",
        f"**{rule.title}.** {rule.description}\n",
        f"{rule.why}\n",
        f"*To satisfy it:* {rule.fix}\n",
        f"*Looks at* {scope}: {', '.join(f'`{pattern}`' for pattern in rule.types)}\n",
    ]
    if rule.options:
        lines += ["| option | type | default | |", "|---|---|---|---|"]
        lines += [
            f"| `{name}` | {option.type} | {_cell(json.dumps(option.default))} | {option.description} |"
            for name, option in rule.options.items()
        ]
        lines.append("")
    return "\n".join(lines)


def _cell(value: str) -> str:
    return "`" + value.replace("|", "\\|") + "`"


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` say whether it is fresh (exit status 1 if not)."""
    fresh = document()
    if "--check" in arguments:
        if TARGET.exists() and TARGET.read_text(encoding="utf-8") == fresh:
            return 0
        sys.stderr.write(f"{TARGET.name} is not what the rules say: run python -m policy.document\n")
        return 1
    TARGET.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
