"""The command line: thin commands over the package. Python code does not need it."""


def main() -> None:
    """Entry point of the `selfplay` command."""
    from selfplay.cli.app import start

    start()
