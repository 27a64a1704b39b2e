"""A key of the stack file does something: what nobody reads would be taken, described, and forgotten."""

from __future__ import annotations

import ast
from pathlib import Path

import yaml

from config import load
from config.errors import PROJECT
from config.schema import StackConfig
from config.section import Section
from config.workload_schema import ContainerPort, EnvFrom, EnvVar, Probe, VolumeMount
from tests.unit.config.test_document import sections, within

ROOT = Path(__file__).parents[3]
#: Where values of a stack file become resources and figures. Checks are left out: they read a key to refuse it.
READERS = (
    "stacks/*.py",
    "config/bill.py",
    "config/consumers.py",
    "config/floor.py",
    "config/idle_floor.py",
    "config/node_lines.py",
    "config/placing.py",
    "config/pools.py",
    "config/services.py",
    "config/tokens.py",
    "config/traffic_lines.py",
    "config/schema.py",
    "config/pool_schema.py",
)
#: What a file says so that it can be checked, and nothing else.
CHECKED_ALONE = {("ExistingKarpenter", "chart_version"), ("ExistingKarpenter", "feature_gates")}

#: Sections that a pod takes as they are: `stacks.workloads` hands them on whole, by Kubernetes' own names.
HANDED_ON_WHOLE = {
    model.__name__ for top in (EnvVar, EnvFrom, ContainerPort, Probe, VolumeMount) for model in (top, *within(top))
}


def test_every_key_at_the_top_has_its_field_and_its_line_in_the_project() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    ours = [key for key in project if key.startswith(f"{PROJECT}:")]
    assert ours == [f"{PROJECT}:{key}" for key in load.KEYS]
    fields = {load._FIELDS.get(key, key) for key in load.KEYS}
    assert fields == StackConfig.model_fields.keys() - {"stack", "region"}


def test_every_key_is_read_by_what_builds_a_stack() -> None:
    read = {
        node.attr
        for pattern in READERS
        for path in ROOT.glob(pattern)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    models: list[type[Section]] = [StackConfig, *sections()]
    fields = {(model.__name__, name) for model in models for name in model.model_fields}
    unread = {(section, name) for section, name in fields if name not in read and section not in HANDED_ON_WHOLE}
    assert unread == CHECKED_ALONE
