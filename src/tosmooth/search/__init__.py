"""The best setting of a grid by successive halving, for a share of the grid's cost."""
