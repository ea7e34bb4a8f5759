"""The phases of a round, one file or folder each. They never import each other: the loop joins them."""
