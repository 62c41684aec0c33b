"""The schema of a study: its sections and fields, and what a field may be."""
