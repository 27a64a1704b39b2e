"""What runs beside the control plane and plays parts that need a mind of their own."""
