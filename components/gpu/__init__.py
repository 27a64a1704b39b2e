"""GPU pools, what runs the device plugin on their nodes, and what runs in their slots."""
