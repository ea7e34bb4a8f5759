"""What several tests share: fakes, small models, runs in processes of their own, and readers of what a run leaves."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
"""The checkout."""
