"""Floor 1: the texts that models are asked with, as pure functions of what is asked about. Nothing is sent from here."""
