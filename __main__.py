"""The Pulumi program: reads the stack's configuration, builds the platform, exports what it hands out."""

import pulumi

from config.errors import ConfigError
from stacks.build import build
from stacks.pulumi_config import load_pulumi_config

try:
    config = load_pulumi_config()
except ConfigError as error:
    raise pulumi.RunError(str(error)) from None

for output, value in build(config).outputs.items():
    pulumi.export(output, value)
