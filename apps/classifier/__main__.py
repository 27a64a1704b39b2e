"""`python -m classifier`: serves until it is told to end. Settings are variables: CLASSIFIER_PORT and so on."""

from __future__ import annotations

import sys

import uvicorn

from classifier.model import Model, ModelError
from classifier.settings import SettingsError, load
from classifier.web import create_app

#: Seconds for pictures that are under way when the service is told to end.
_SHUTDOWN_SECONDS = 10
#: Seconds that an idle connection stays: longer than clients keep one, or some would send on what just ends.
_IDLE_SECONDS = 75


def main() -> int:
    """Serve; returns the exit code."""
    try:
        settings = load()
        model = Model(settings.model, settings.gpu_memory_mib)
    except (SettingsError, ModelError) as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201  to whoever started it
        return 2
    print(f"{model.provider} computes {settings.model}", file=sys.stderr, flush=True)  # noqa: T201
    uvicorn.run(
        create_app(settings, model),
        host=settings.host,
        port=settings.port,
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
