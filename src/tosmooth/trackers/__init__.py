"""Experiment trackers: a study's curves in TensorBoard, Weights & Biases and MLflow, through Accelerate.

What is sent is read from the `metrics.jsonl` files that training leaves anyway. So a tracker can change no result, and
what one has missed (a killed run, a server that was away) is sent by the next start of the same study.
"""
