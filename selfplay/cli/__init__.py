"""The command line. Thin commands over the loop; nothing here is needed to use selfplay from Python."""


def main() -> None:
    """Entry point of the `selfplay` command."""
    from selfplay.cli.app import start

    start()
