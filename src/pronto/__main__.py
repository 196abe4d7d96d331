"""`python -m pronto`: the same as the command `pronto`."""

from pronto.cli.main import main

main()
