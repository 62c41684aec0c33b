"""Speed and memory of tosmooth against its peers and its own floors; see docs/benchmarks.md.

Each file is a command (`python -m benchmarks.grid`) that prints a table and writes `benchmarks/results/<name>.json`.
"""
