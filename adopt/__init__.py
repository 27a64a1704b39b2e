"""Clusters that are there: what they hold, read from an export or by GET alone, what to buy, the stack file."""
