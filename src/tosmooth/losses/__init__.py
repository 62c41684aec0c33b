"""Distillation objectives, and the loss that is made of them."""
