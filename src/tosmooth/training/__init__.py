"""Training of teachers and students: one loop, in groups that share batches and teachers."""
