"""A study: its plan, its run, its results on disk, and the advice drawn from them."""
