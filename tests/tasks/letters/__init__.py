"""A task as a third one would come along: its data, its model and itself, and nothing else.

Which letter comes next in a text, compared by perplexity, of which less is better.
"""
