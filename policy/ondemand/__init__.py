"""Every way to buy a GPU that is not Spot, one module a kind of resource. Each yields `Purchase`s."""
