"""What only a card can show, in eight minutes at most: `make gpu-check`. With `--short 1`, tiny batches and no trials.

It also runs on a CPU: what needs a card is skipped there, and that is said.
"""
