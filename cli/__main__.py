"""`python -m cli` is the `slices` command."""

from cli.main import main

main()
