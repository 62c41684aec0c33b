"""From a study's tables to advice in words, by rules listed in `docs/advice.md`; tables in, words out, no training."""
