"""What is seen of a running stack."""
