"""The runs behind docs/science.md: `python -m science.data`, then `.run`, then `.write_docs`."""
