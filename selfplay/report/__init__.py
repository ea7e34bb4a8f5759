"""Floor 2: the pages a run leaves behind, as self-contained HTML with a JSON twin, and the charts they are made of."""
