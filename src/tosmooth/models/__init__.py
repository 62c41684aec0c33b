"""Image classifiers by name, their weights on disk, and their penultimate features."""
