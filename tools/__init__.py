"""Scripts that prepare committed data of the project; nothing here runs in the Pulumi program."""
