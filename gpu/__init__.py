"""The GPU domain: instance catalogue, sharing profiles, slots, memory fit and prices.

Pure Python: no Pulumi, no I/O, no clock. Everything here can be called from components, policies, the command line
and the twin alike, so that a pool's sharing profile means the same thing in all of them.
"""
