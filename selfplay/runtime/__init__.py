"""What phases run on: a round's context, what a run opens, progress, chunks, ranks and timing."""
