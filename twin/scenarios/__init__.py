"""Scripted runs on the twin, each with what must be true at its end."""
