"""Sentence pairs as data: sources, cleaning, joint vocabulary, and batches by token count."""
