"""Publishes a round on the Hugging Face hub: its model and its data set, each with a card that is true to the run."""

from selfplay.publish.facts import Names, facts_of
from selfplay.publish.hub import Repository, check_access, check_name, upload
from selfplay.publish.publication import files_of, was_exported, write_data, write_model

__all__ = [
    "Names",
    "Repository",
    "check_access",
    "check_name",
    "facts_of",
    "files_of",
    "upload",
    "was_exported",
    "write_data",
    "write_model",
]
