"""`python -m selfplay`."""

from selfplay.cli import main

main()
