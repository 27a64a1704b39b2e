"""`python -m twin.aws FOLDER PORT`: seeds moto from the twin's plan, then answers on a loopback port.

The port opens when everything is seeded: Karpenter keeps the first answer it gets.
"""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from twin.aws.account import ACCOUNT

# Read when moto is imported.
os.environ.update(
    {
        "MOTO_ACCOUNT_ID": ACCOUNT,
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
        "AWS_ACCESS_KEY_ID": "twin",
        "AWS_SECRET_ACCESS_KEY": "twin",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
)
os.environ.pop("AWS_ENDPOINT_URL", None)
os.environ.pop("AWS_PROFILE", None)

from moto import mock_aws
from moto.moto_api._internal import mock_random

from twin.aws.answers import Aws
from twin.aws.images import image_of
from twin.aws.seed import Seeder
from twin.machine.state import TwinState, load_run, write_json
from twin.plan import TwinPlan, load_plan
from twin.play.faults import Faults


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, aws: Aws) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.aws = aws


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): text for name, text in self.headers.items()}
        status, answered, content = self.server.aws.answer(self.command, self.path, headers, body)
        self.send_response(status)
        for name, text in answered.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    # http.server looks its methods up by these names.
    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Write no access log."""


def _register_images(plan: TwinPlan) -> None:
    """Moto must know the images that the public parameters name, with their architecture."""
    from moto.ec2.models import ec2_backends  # noqa: PLC0415  slow

    from twin.aws.images import parameters  # noqa: PLC0415

    backend = ec2_backends[ACCOUNT][plan.region]
    for parameter in parameters(plan.kubernetes):
        found = image_of(parameter)
        assert found is not None
        identity, architecture = found
        image = backend.register_image(name=parameter)
        del backend.amis[image.id]
        image.id, image.architecture = identity, architecture
        backend.amis[identity] = image


def main(folder: Path, port: int) -> int:
    """Serve until killed."""
    state = TwinState(folder.parent, folder.name)
    plan, run = load_plan(state), load_run(state)
    assert run is not None
    os.environ["AWS_DEFAULT_REGION"] = plan.region
    mock_aws().start()
    mock_random.seed(1)
    seeder = Seeder(plan, run.server)
    values = seeder.seed()
    _register_images(plan)
    zones = [z["ZoneName"] for z in seeder.client("ec2").describe_availability_zones()["AvailabilityZones"]]
    server = _Server(port, Aws(plan.region, zones, Faults(folder)))
    write_json(folder / "cloud.json", {"plan": plan.fingerprint, "values": values})
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
