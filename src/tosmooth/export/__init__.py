"""A student or teacher of a study in the forms that other programs load, with a model card."""
