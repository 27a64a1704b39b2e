"""Each room of the repository imports only what the design lets it import."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {
    *("account", "adopt", "apps", "bench", "cli", "components", "config", "gpu", "plan", "policy", "stacks", "tests"),
    *("tools", "twin", "versions"),
}
# room -> (what it may import of ours beside itself, what it may not import of others)
RULES: dict[str, tuple[set[str], set[str]]] = {
    "gpu": ({"versions"}, {"click", "pulumi", "pydantic", "requests", "rich", "subprocess", "urllib", "yaml"}),
    # Read in a fraction of a second by whoever only wants to know whether a stack file is right.
    "config": ({"gpu", "versions"}, {"click", "pulumi", "pulumi_aws", "pulumi_kubernetes", "rich"}),
    "components": ({"gpu", "versions"}, {"click", "rich"}),
    "policy": ({"gpu", "versions"}, {"click", "pulumi_aws", "pulumi_eks", "pulumi_kubernetes", "rich"}),
    "stacks": ({"components", "config", "gpu", "versions"}, {"click", "rich"}),
    "plan": ({"config", "gpu", "policy", "stacks", "versions"}, {"click", "rich"}),
    # Read by anybody who has an export, without an account and without running a program.
    "adopt": ({"config", "gpu", "policy", "versions"}, {"boto3", "click", "pulumi", "rich", "yaml"}),
    # The twin plays what `plan` records; it never looks into the components.
    "twin": ({"config", "gpu", "plan", "versions"}, {"pulumi"}),
    # What the account must have and must lose is read off the plan.
    "account": ({"components", "config", "gpu", "plan", "stacks", "versions"}, {"click", "pulumi", "rich"}),
}

# Modules that may import what their room may not; nothing else of the room imports them.
READERS = {"gpu/sharing/yaml_text.py": {"yaml"}}


def imports(source: str) -> set[str]:
    """Names of the top-level packages that a module imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def broken_rules(room: str, imported: set[str]) -> set[str]:
    """What a module of the room imports although the room may not."""
    allowed, forbidden = RULES[room]
    return (imported & (OURS - allowed - {room})) | (imported & forbidden)


@pytest.mark.parametrize("room", RULES)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    modules = sorted((ROOT / room).rglob("*.py"))
    assert modules, f"{room}/ holds no module"
    broken = {}
    for module in modules:
        path = str(module.relative_to(ROOT))
        if names := broken_rules(room, imports(module.read_text(encoding="utf-8"))) - READERS.get(path, set()):
            broken[path] = names
    assert not broken


def test_no_module_of_the_domain_loads_a_reader_of_texts() -> None:
    modules = [module for module in (ROOT / "gpu").rglob("*.py") if module.name != "yaml_text.py"]
    loads = [module.name for module in modules if "yaml_text" in module.read_text(encoding="utf-8")]
    assert not loads, "yaml costs 10 ms at each start of what needs none"


@pytest.mark.parametrize(
    ("room", "source", "expected"),
    [
        ("gpu", "import pulumi", {"pulumi"}),
        ("gpu", "def f():\n    from components.network.network import Network", {"components"}),
        ("components", "import config.schema", {"config"}),
        ("policy", "from components import tags\nimport gpu.catalog", {"components"}),
        ("stacks", "from . import summary\nimport components, config, gpu, versions", set()),
        ("config", "import pulumi", {"pulumi"}),
    ],
)
def test_the_rule_sees_a_wrong_import(room: str, source: str, expected: set[str]) -> None:
    assert broken_rules(room, imports(source)) == expected
