"""A program of anybody's: registers the resources that `stack.json` lists (`tests.engine.states.as_program`)."""

import json
from pathlib import Path
from typing import Any

import pulumi

from tests.engine.states import as_outputs

made: dict[str, pulumi.Resource] = {}
for planned in json.loads(Path("stack.json").read_text(encoding="utf-8")):
    inputs: dict[str, Any] = as_outputs(planned["inputs"], made)
    options = pulumi.ResourceOptions(
        parent=made[planned["parent"]] if planned["parent"] else None,
        depends_on=[made[name] for name in planned["dependencies"]],
    )
    kind = pulumi.ComponentResource if planned["component"] else pulumi.CustomResource
    made[planned["name"]] = kind(planned["type"], planned["name"], inputs, options)
