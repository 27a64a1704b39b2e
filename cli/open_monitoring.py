"""`slices open monitoring`: Grafana in the browser, from a stack that stands."""

from __future__ import annotations

import base64
import json
import webbrowser
from pathlib import Path

import click

from cli.open import StopError, Way, hold_open, opened_config
from components.monitoring.grafana import UID
from components.monitoring.prometheus_chart import GRAFANA, GRAFANA_PORT, NAMESPACE
from plan.errors import InputError


def open_monitoring(directory: Path, stack: str) -> int:
    """Open Grafana of a stack and hold the way to it open until Ctrl-C; gives the exit status.

    Raises InputError where the stack file is wrong, or has no Grafana.
    """
    config = opened_config(directory, stack, "the twin of {stack} plays its pods, so no Grafana runs (docs/twin.md)")
    if config.monitoring.backend != "prometheus":
        raise InputError(
            f"stack {stack} has no Grafana to open: write `backend: prometheus` under gpu-slices:monitoring in "
            f"Pulumi.{stack}.yaml, then `pulumi up`; CloudWatch's dashboard is in AWS' console (docs/monitoring.md)"
        )
    return hold_open(lambda kubeconfig: _Grafana(config, kubeconfig).run())


class _Grafana(Way):
    async def run(self) -> None:
        """All steps; the last one lasts until the task is cancelled."""
        await self.find_cluster()
        user, password = await self._account()
        async with self.forwarded(NAMESPACE, GRAFANA, GRAFANA_PORT) as (port, ended):
            url = f"http://localhost:{port}/d/{UID}"
            click.echo(f"Grafana: {url}\nIt asks who you are: {user}, with the password {password}")
            webbrowser.open(url)
            click.echo("Ctrl-C ends the way there.")
            await ended.wait()
        raise StopError("kubectl ended, and with it the way to the cluster; call the command again")

    async def _account(self) -> tuple[str, str]:
        """Name and password of the one account that there is, from the Secret that Grafana's chart made."""
        click.echo(f"Looking for the password in Secret {NAMESPACE}/{GRAFANA}")
        found = await self.kubectl("-n", NAMESPACE, "get", "secret", GRAFANA, "-o", "json")
        if found.status and "NotFound" in found.words:
            raise StopError(f"Secret {NAMESPACE}/{GRAFANA} is not there: `pulumi up` installs Grafana, and it makes it")
        if found.status:
            raise StopError(f"the cluster does not answer: {found.words}")
        data = json.loads(found.out).get("data", {})
        user, password = (base64.b64decode(data.get(f"admin-{key}", "")).decode() for key in ("user", "password"))
        return user, password
