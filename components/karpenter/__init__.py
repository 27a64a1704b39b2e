"""Karpenter: its rights, its queue, how nodes are made, and the pools without GPUs."""
