"""From a study's tables to its advice, by the rules of `docs/advice.md`: tables in, facts out, no words."""
