"""A student from a teacher and images that one has: audit, choice of T, training, test, export."""
