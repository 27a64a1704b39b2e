"""A service that says which digit a picture shows: the demonstration of several replicas on shares of a GPU."""
