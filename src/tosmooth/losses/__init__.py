"""Distillation objectives."""
