"""The network of a stack: VPC, subnets, endpoints, flow logs."""
