"""The `slices` command: what Pulumi itself cannot do offline."""
