"""Image data: one file per source, splits, augmentation, and reproducible batches."""
