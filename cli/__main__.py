"""`python -m cli` is the `slices` command."""

from cli.start import main

main()
