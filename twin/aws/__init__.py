"""AWS as far as Karpenter asks it: moto, seeded from the plan, and the few answers that moto lacks."""
