"""What the tests and benchmarks of the sandbox share: the attacks, and the arenas where they run."""
