"""Runs a project's own `__main__.py` on Pulumi's test runtime and records everything the engine would be told.

The program runs as in a preview of a new stack, with two differences. It needs no CLI, no plugin and no account; and
where a preview knows nothing, such as the id of a VPC, the program gets a readable placeholder (`plan.cloud`), so that
the plan can name it. `Recording.preview_inputs` turns these into unknown values again, for judging.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import runpy
import sys
import traceback
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import settings

from plan.cloud import DEFAULT_REGION, PLACEHOLDER, Cloud
from plan.errors import InputError, ProgramError
from plan.monitor import EngineError, Inline, Log, Monitor, NoMocks, Resource
from plan.project import Project, StackFile
from plan.wire import UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a program registered, in the order in which it made it, and what it exported."""

    project: str
    stack: str
    region: str
    resources: tuple[Resource, ...]
    outputs: Mapping[str, Any]
    values: Mapping[str, tuple[str, str]]
    """Values that only a deployment knows, to URN and output name of the resource that they come from."""
    placeholders: frozenset[str]
    messages: tuple[tuple[str, str], ...]
    """What the program logged or printed: severity and text."""
    unanswered: tuple[str, ...]
    """Provider functions that were called and got an empty answer."""

    @cached_property
    def by_urn(self) -> Mapping[str, Resource]:
        """The resources by URN."""
        return {resource.urn: resource for resource in self.resources}

    def of_type(self, type_: str) -> list[Resource]:
        """All resources of a type token such as `aws:ec2/vpc:Vpc`."""
        return [resource for resource in self.resources if resource.type == type_]

    def preview_inputs(self, resource: Resource) -> dict[str, Any]:
        """The inputs as a real preview shows them: a text that holds a placeholder is unknown as a whole.

        Nobody may change what is in them: where all is known they are the recorded ones.
        """
        if "<" not in json.dumps(resource.inputs):
            return dict(resource.inputs)
        return {key: self._unknown(value) for key, value in resource.inputs.items()}

    def _unknown(self, value: Any) -> Any:
        if isinstance(value, str):
            if "<" in value and any(found in self.placeholders for found in PLACEHOLDER.findall(value)):
                return UNKNOWN
            return value
        if isinstance(value, dict):
            return {key: self._unknown(item) for key, item in value.items()}
        return [self._unknown(item) for item in value] if isinstance(value, list) else value


def record(project: Project, config: StackFile) -> Recording:
    """Run the project's program for a stack to its end.

    Raises InputError with the program's message where it refuses its configuration (pulumi.RunError), ProgramError
    where it fails otherwise.
    """
    if not project.program.is_file():
        raise InputError(f"there is no program {project.program}: write its directory under `main` in Pulumi.yaml")
    region = config.values.get("aws:region", DEFAULT_REGION)
    cloud = Cloud(region=region)
    log = Log()
    output = io.StringIO()
    constructed: list[tuple[str, str]] = []
    with _environment(project, config), contextlib.redirect_stdout(output):
        try:
            with _no_source_positions():
                asyncio.run(_run(project, config, cloud, log, constructed))
        except pulumi.RunError as error:
            raise InputError(str(error)) from error
        except EngineError as error:
            raise ProgramError(str(error)) from error
        except SystemExit as error:
            raise ProgramError(f"it ended the process: sys.exit({error.code!r})") from error
        except Exception as error:
            raise ProgramError(_program_trace(error, project.directory)) from error
    log.messages += [("info", line) for line in output.getvalue().splitlines()]
    return Recording(
        project=project.name,
        stack=config.stack,
        region=region,
        resources=_in_order(log.resources, constructed),
        outputs=log.outputs,
        values=cloud.outputs,
        placeholders=frozenset(cloud.placeholders),
        messages=tuple(log.messages),
        unanswered=tuple(sorted(cloud.unanswered)),
    )


@contextlib.contextmanager
def _environment(project: Project, config: StackFile) -> Iterator[None]:
    """Directory, module path and configuration as Pulumi's language host sets them; all put back afterwards."""
    variables = {
        "PULUMI_CONFIG": json.dumps(dict(config.values)),
        "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(config.secret_keys)),
    }
    before = {name: os.environ.get(name) for name in variables}
    directory, path = Path.cwd(), list(sys.path)
    os.environ.update(variables)
    os.chdir(project.program.parent)
    sys.path.insert(0, str(project.program.parent))
    try:
        yield
    finally:
        os.chdir(directory)
        sys.path[:] = path
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _no_source_positions() -> Iterator[None]:
    """Pulumi's SDK tells the engine with every resource the whole stack of calls that made it, for which it reads the
    program's source. Nothing reads that here, and it is a tenth of a plan. Tracebacks of failures are whole again as
    soon as the program has ended."""
    before = getattr(sys, "tracebacklimit", None)
    sys.tracebacklimit = 1
    try:
        yield
    finally:
        if before is None:
            del sys.tracebacklimit
        else:
            sys.tracebacklimit = before


async def _run(project: Project, config: StackFile, cloud: Cloud, log: Log, constructed: list[tuple[str, str]]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(Inline())
    # The first failure is raised to us; what follows from it would only be printed on top.
    loop.set_exception_handler(lambda _loop, _context: None)
    # A run that failed in this process may have left tasks of its own event loop (as in `pulumi.runtime.test`).
    settings.SETTINGS.outputs.clear()
    pulumi.runtime.set_all_config(dict(config.values), list(config.secret_keys))
    pulumi.runtime.set_mocks(
        NoMocks(),
        project=project.name,
        stack=config.stack,
        preview=True,
        logger=_logger(log),
        monitor=Monitor(cloud, log),
    )
    settings.SETTINGS.root_directory = str(project.directory)
    # set_mocks makes a stack that has no outputs yet. Pulumi's own entry point makes one around the program.
    settings.set_root_resource(None)  # type: ignore[arg-type]
    await pulumi.runtime.run_in_stack(lambda: _program(project.program, constructed))


def _program(path: Path, constructed: list[tuple[str, str]]) -> Awaitable[None] | None:
    def note(args: pulumi.ResourceTransformationArgs) -> None:
        constructed.append((args.type_, args.name))

    pulumi.runtime.register_stack_transformation(note)
    runpy.run_path(str(path), run_name="__main__")
    return None


def _in_order(resources: Sequence[Resource], constructed: Sequence[tuple[str, str]]) -> tuple[Resource, ...]:
    """Resources in the order in which the program made them: what one needs comes before it.

    They register as soon as what they need has, and the SDK waits for that in the order of a set: it differs between
    runs.
    """
    positions: dict[tuple[str, str], int] = {}
    for position, key in enumerate(constructed):
        positions.setdefault(key, position)
    last = len(constructed)
    return tuple(sorted(resources, key=lambda resource: positions.get((resource.type, resource.name), last)))


# --- Messages ---------------------------------------------------------------------------------------------------------


class _Handler(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.INFO)
        self._messages = log.messages

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message of the program."""
        self._messages.append((record.levelname.lower(), record.getMessage()))


def _logger(log: Log) -> logging.Logger:
    logger = logging.Logger("slices.program", logging.INFO)
    logger.addHandler(_Handler(log))
    return logger


def _program_trace(error: BaseException, directory: Path) -> str:
    """The traceback from the program's first own frame on: what lies before it is ours and Pulumi's."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parent
    own = [
        index
        for index, frame in enumerate(frames)
        if (path := Path(frame.filename)).is_relative_to(directory)
        and not path.is_relative_to(ours)
        and "site-packages" not in path.parts
    ]
    kept = frames[own[0] :] if own else frames
    lines = [*traceback.format_list(kept), *traceback.format_exception_only(error)]
    return "".join(lines).rstrip()
