"""Stack files are read as the Pulumi CLI reads them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from plan.errors import InputError
from plan.project import StackFile, find_project, load_stack
from tests.unit.cli.projects import write_project


def config_of(directory: Path, stack: str, project: str = "name: shop\nruntime: python") -> StackFile:
    return load_stack(find_project(write_project(directory, "", stack=stack, project=project)), "dev")


# What the CLI's own loader (github.com/pulumi/pulumi/sdk/v3 v3.225.0) gives a program for these values, read off a run.
AS_THE_CLI_GIVES_IT = [
    ("2027-01-31", "2027-01-31 00:00:00 +0000 UTC"),
    ("2026-12-31T01:02:03Z", "2026-12-31 01:02:03 +0000 UTC"),
    ("2026-12-31 01:02:03", "2026-12-31 01:02:03 +0000 UTC"),
    ("'2027-01-31'", "2027-01-31"),
    ("on", "on"),
    ("yes", "yes"),
    ("True", "true"),
    ("1.10", "1.1"),
    ("1.0", "1"),
    ("010", "8"),
    ("0o10", "8"),
    ("0x1f", "31"),
    ("1_000", "1000"),
    ("1:30", "1:30"),
    ("1e3", "1000"),
    (".5", "0.5"),
    ("-12", "-12"),
    ("111122223333", "111122223333"),
    ("12345678901234567890", "12345678901234567890"),
    ("~", ""),
    ("", ""),
    ("{}", "{}"),
    ("ü<b>&", "ü<b>&"),
    (
        "{b: on, a: 2027-01-31, c: [1.0, null, 1.35]}",
        '{"a":"2027-01-31 00:00:00 +0000 UTC","b":"on","c":[1,null,1.35]}',
    ),
]


@pytest.mark.parametrize(
    ("written", "given"), AS_THE_CLI_GIVES_IT, ids=[written or "empty" for written, _ in AS_THE_CLI_GIVES_IT]
)
def test_values_arrive_as_from_the_cli(tmp_path: Path, written: str, given: str) -> None:
    assert config_of(tmp_path, f"config:\n  shop:key: {written}").values == {"shop:key": given}


def test_keys_without_a_namespace_belong_to_the_project(tmp_path: Path) -> None:
    config = config_of(tmp_path, "config:\n  size: 3\n  aws:region: eu-west-1\n  old:config:key: x")
    assert config.values == {"shop:size": "3", "aws:region": "eu-west-1", "old:key": "x"}


def test_defaults_come_from_the_project(tmp_path: Path) -> None:
    project = """
        name: shop
        runtime: python
        config:
          shop:pools: {type: array, items: {type: object}, default: [{name: a}]}
          short: 4
          aws:region: us-west-2
          given: {type: string, default: far}
    """
    config = config_of(tmp_path, "config: {shop:given: near}", project)
    assert config.values == {
        "aws:region": "us-west-2",
        "shop:given": "near",
        "shop:pools": '[{"name":"a"}]',
        "shop:short": "4",
    }
    assert config.problems == ()


def test_what_the_cli_would_refuse_is_a_problem(tmp_path: Path) -> None:
    project = """
        name: shop
        runtime: python
        config:
          pools: {type: array, items: {type: object}}
          count: {type: integer}
          open: {type: boolean}
          place: {type: object}
          name: {type: string}
          needed: {type: string}
    """
    stack = "config: {pools: [1], count: few, open: maybe, place: here, name: [a]}"
    assert config_of(tmp_path, stack, project).problems == (
        "Stack 'dev' with configuration key 'pools' must be of type 'array'",
        "Stack 'dev' with configuration key 'count' must be of type 'integer'",
        "Stack 'dev' with configuration key 'open' must be of type 'boolean'",
        "Stack 'dev' with configuration key 'place' must be of type 'object'",
        "Stack 'dev' with configuration key 'name' must be of type 'string'",
        "Stack 'dev' is missing configuration value 'needed'",
    )
    fine = "config: {pools: [{}], count: '3', open: 'true', place: {}, name: 1.5, needed: x}"
    assert config_of(tmp_path, fine, project).problems == ()


def test_secrets_are_replaced_and_said(tmp_path: Path) -> None:
    config = config_of(tmp_path, "config: {shop:a: {secure: v1:abc}, shop:b: {c: [{secure: v1:def}], d: 1}, shop:e: 2}")
    assert config.values["shop:a"] == "<secret>"
    assert json.loads(config.values["shop:b"]) == {"c": ["<secret>"], "d": 1}
    assert config.secret_keys == ("shop:a", "shop:b")
    assert [note.split()[0] for note in config.notes] == ["shop:a", "shop:b"]
    assert not any("v1:" in value for value in config.values.values())


def test_environments_of_esc_are_said_to_be_missing(tmp_path: Path) -> None:
    assert "ESC" in config_of(tmp_path, "environment: [shared/dev]\nconfig: {}").notes[0]


def test_an_unknown_stack_names_the_nearest_and_all(tmp_path: Path) -> None:
    write_project(tmp_path, "", stack_name="production")
    project = find_project(write_project(tmp_path, "", stack_name="dev"))
    with pytest.raises(
        InputError, match=r"no stack 'prodution'; did you mean production\?\nstacks .*: dev, production$"
    ):
        load_stack(project, "prodution")
    with pytest.raises(InputError, match=r"no stack 'DEV'; did you mean dev\?"):
        load_stack(project, "DEV")
    with pytest.raises(InputError, match=r"^no stack 'x'\nstacks"):
        load_stack(project, "x")


def test_of_this_project_an_unknown_stack_can_be_written() -> None:
    project = find_project(Path(__file__).parents[3])
    with pytest.raises(InputError, match=r"\n`slices init acme-7` writes one of that name$"):
        load_stack(project, "acme-7")
    for refused in ("ACME", "a" * 30):
        with pytest.raises(InputError, match=rf"^no stack '{refused}'\nstacks [^\n]*$"):
            load_stack(project, refused)


@pytest.mark.parametrize("stack", ["../dev", "a/b", ""])
def test_a_stack_is_no_path(tmp_path: Path, stack: str) -> None:
    with pytest.raises(InputError, match="no stack"):
        load_stack(find_project(write_project(tmp_path, "")), stack)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config:\n  a: [1\n", "Pulumi.dev.yaml:3:1: "),
        ("config:\n  a: 1\n   b: 2\n", "Pulumi.dev.yaml:3:5: mapping values are not allowed"),
        ("config:\n  a: 1\n  a: 2\n", "Pulumi.dev.yaml:3:3: key 'a' stands twice"),
        (
            "config:\n\ta: 1\n",
            "Pulumi.dev.yaml:2:1: found character that cannot start any token (while scanning for the next token); "
            "it is a tab: indent with spaces",
        ),
        (
            "config:\n  a: @b\n",
            "Pulumi.dev.yaml:2:6: found character that cannot start any token (while scanning for the next token); "
            "put a text that begins with @ in quotes",
        ),
        (
            "config:\n  a 1\n  b: 2\n",
            "Pulumi.dev.yaml:3:4: mapping values are not allowed in this context; is a colon missing in the line above",
        ),
        (
            'config:\n  a:\n  - {b: "c, d: e}\n  - {b: "c", d: e}\n',
            "Pulumi.dev.yaml:4:10: did not find expected ',' or '}' (while parsing a flow mapping that begins in "
            "line 3)",
        ),
        ("config: [1, 2]", "Pulumi.dev.yaml: `config:` must hold keys and values"),
        ("just text", "Pulumi.dev.yaml: `config:` must hold keys and values"),
        ("config:\n  [a, b]: 1", "Pulumi.dev.yaml:2:3: a key must be a text"),
        ("config:\n  a: &x [*x]", "Pulumi.dev.yaml:2:6: an anchor holds itself"),
        ("config:\n  a: !!binary aGk=", "Pulumi.dev.yaml:2:6: !!binary is no type of a configuration"),
        ("config:\n  a: !!int b", "Pulumi.dev.yaml:2:6: is no !!int"),
        ("config:\n  a: " + "[" * 400 + "]" * 400, "Pulumi.dev.yaml:2:305: is nested too deep"),
        ("config:\n  a: " + "[" * 3000 + "]" * 3000, "Pulumi.dev.yaml: is nested too deep"),
        ("config:\n  a: " + "[" * 50_000 + "]" * 50_000, "Pulumi.dev.yaml:2:104: is nested too deep"),
        (
            "config:\n" + "".join(f"  x{i}: &x{i} [{f'*x{i - 1}' if i else ''}]\n" for i in range(300)),
            "Pulumi.dev.yaml:102:9: is nested too deep",
        ),
        ("config: {}\nshop:size: 3", "Pulumi.dev.yaml: `shop:size` is no key of a stack file: it belongs under"),
        ("confg: {}", "Pulumi.dev.yaml: `confg` is no key of a stack file: did you mean config? Keys are "),
        ("resources: {}", "Pulumi.dev.yaml: `resources` is no key of a stack file: keys are config, "),
        ("config: {shop:size: 3, size: 4}", "Pulumi.dev.yaml: shop:size stands twice, once as size"),
        ("config: {a:b:c:d: 3}", "a:b:c:d is no configuration key"),
    ],
)
def test_broken_yaml_is_placed(tmp_path: Path, text: str, message: str) -> None:
    project = find_project(write_project(tmp_path, ""))
    (tmp_path / "Pulumi.dev.yaml").write_text(text)
    with pytest.raises(InputError) as raised:
        load_stack(project, "dev")
    assert str(raised.value).startswith(message)


def test_aliases_of_aliases_do_not_fill_the_memory(tmp_path: Path) -> None:
    lines = [f"  shop:{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else '1'] * 10)}]" for i in range(12)]
    with pytest.raises(InputError, match="aliases make it too large"):
        config_of(tmp_path, "\n".join(["config:", *lines]))


def test_a_few_aliases_are_fine(tmp_path: Path) -> None:
    config = config_of(tmp_path, "config:\n  a: &x {b: 1}\n  c: {<<: *x, d: *x}\n  e: !!str 5\n  f: {1: a, ~: b}")
    assert config.values["shop:c"] == '{"b":1,"d":{"b":1}}'
    assert config.values["shop:e"] == "5"
    assert config.values["shop:f"] == '{"1":"a","null":"b"}'


@pytest.mark.parametrize("number", ["9" * 5000, "0b_"])
def test_what_looks_like_a_number_and_is_none_stays_text(tmp_path: Path, number: str) -> None:
    assert config_of(tmp_path, f"config: {{a: {number}}}").values == {"shop:a": number}


def test_a_directory_in_place_of_a_stack_file(tmp_path: Path) -> None:
    project = find_project(write_project(tmp_path, ""))
    (tmp_path / "Pulumi.odd.yaml").mkdir()
    with pytest.raises(InputError, match=r"Pulumi\.odd\.yaml cannot be read: it is a directory, not a file"):
        load_stack(project, "odd")


def test_a_pipe_a_device_and_a_huge_file_in_place_of_a_stack_file(tmp_path: Path) -> None:
    """`slices plan` would wait for ever for somebody who writes into a pipe."""
    project = find_project(write_project(tmp_path, ""))
    os.mkfifo(tmp_path / "Pulumi.pipe.yaml")
    (tmp_path / "Pulumi.device.yaml").symlink_to("/dev/zero")
    with (tmp_path / "Pulumi.huge.yaml").open("wb") as file:
        file.truncate(2**34)
    for stack, why in (("pipe", "it is a named pipe"), ("device", "it is a device"), ("huge", "more than 16 MiB")):
        with pytest.raises(InputError, match=rf"Pulumi\.{stack}\.yaml cannot be read: .*{why}"):
            load_stack(project, stack)


def test_a_project_whose_configuration_is_a_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Pulumi\.yaml: `config:` must hold keys and values"):
        config_of(tmp_path, "", "name: shop\nconfig: [a]")


def test_bytes_that_are_no_text_are_an_input_error(tmp_path: Path) -> None:
    project = find_project(write_project(tmp_path, ""))
    (tmp_path / "Pulumi.dev.yaml").write_bytes(b"config: {a: \xff\xfe}")
    with pytest.raises(InputError, match=r"Pulumi\.dev\.yaml"):
        load_stack(project, "dev")


def test_an_empty_stack_file_is_an_empty_configuration(tmp_path: Path) -> None:
    assert config_of(tmp_path, "").values == {}


def test_the_project_is_found_above(tmp_path: Path) -> None:
    below = write_project(tmp_path, "") / "a" / "b"
    below.mkdir(parents=True)
    assert find_project(below).directory == tmp_path


def test_no_project_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="-C"):
        find_project(tmp_path)


def test_main_and_stack_directory_of_the_project_are_followed(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "src").mkdir()
    write_project(tmp_path, "", project="name: shop\nruntime: python\nmain: src\nstackConfigDir: stacks")
    (tmp_path / "stacks" / "Pulumi.eu.one.yaml").write_text("config: {a: b}")
    project = find_project(tmp_path)
    assert project.program == tmp_path / "src" / "__main__.py"
    assert project.stacks == ["eu.one"]
    assert load_stack(project, "eu.one").values == {"shop:a": "b"}
