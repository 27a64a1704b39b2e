"""Reads programs that others wrote, of whatever tool: what the pack judges without running anything."""
