"""Floor 4: training methods, one file each."""
