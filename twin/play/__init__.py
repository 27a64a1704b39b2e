"""What is played on the cluster: kubelets, device plugins, Knative, system pods."""
