"""How numbers and teachers are written, the same in summaries, the advice and the report."""
