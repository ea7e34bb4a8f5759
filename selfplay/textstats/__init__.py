"""Texts as arrays of hashes, for `curate` and `collapse`: words, n-grams, MinHash. Pure; numpy only."""
