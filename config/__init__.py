"""The stack file: schema, loading, checks, and everything that is said about it."""
