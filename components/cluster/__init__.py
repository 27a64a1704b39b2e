"""The EKS cluster: control plane, who gets in, add-ons, system nodes, keys."""
