"""Floor 1: the prompts that models are given, as pure functions. Nothing is sent from here."""
