"""Floor 3: judgement. A verdict is made here and nowhere else."""
