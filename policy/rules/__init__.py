"""One rule a module. Every module here defines `RULE`; `policy.pack` finds it by looking."""
