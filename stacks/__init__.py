"""Stacks: what composes components into an environment, and what it comes to in services and dollars."""
