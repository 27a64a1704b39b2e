"""The CrossGuard policy pack: rules about GPUs, their sharing, the models on them and the platform below.

Rules judge resources by their inputs alone, so they hold for any Pulumi program, not only for this one.
"""
