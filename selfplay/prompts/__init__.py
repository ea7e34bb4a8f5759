"""The prompts that models are given, as pure functions. Nothing is sent from here."""
