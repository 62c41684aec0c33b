"""Analysis: tensors in, numbers out. Knows nothing of training, studies or reports."""
