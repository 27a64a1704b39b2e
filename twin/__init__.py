"""The twin: the platform on a laptop, judged by the real Karpenter and the real scheduler."""
