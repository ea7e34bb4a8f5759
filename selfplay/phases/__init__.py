"""The phases of a round, one file or folder each. No phase imports another; `selfplay.loop.run` calls them in order."""
