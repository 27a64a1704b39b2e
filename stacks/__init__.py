"""Stacks: typed configuration of an environment, and the program that composes its components."""
