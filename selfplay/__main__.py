"""`python -m selfplay`, and `accelerate launch -m selfplay run`."""

from selfplay.cli import main

if __name__ == "__main__":
    main()
