"""The account in which everything is, and how to ask about it."""

from __future__ import annotations

import os
from typing import Any

ACCOUNT = "111122223333"
"""Account of the plan (`plan.cloud.ACCOUNT_ID`), which moto must take over."""


def client(service: str, endpoint: str, region: str) -> Any:
    """A client of the twin's AWS, whatever profile, files, endpoint or proxy the caller's environment names."""
    import boto3  # noqa: PLC0415  slow
    from botocore.config import Config  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    files = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    session = Session(session_vars={"profile": (None, None, None, None), **files})
    return boto3.Session(botocore_session=session).client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="twin",
        aws_secret_access_key="twin",
        config=Config(proxies={}, use_fips_endpoint=False, use_dualstack_endpoint=False),
    )
