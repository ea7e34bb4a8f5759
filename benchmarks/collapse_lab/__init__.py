"""The collapse lab: laws, arms and bars that test the monitor and the theory, not the training loop.

Level 0 checks closed-form laws in seconds; level 1 is an n-gram language model with exact likelihoods; level 2 trains
a small transformer from scratch on a verifiable expression language.
"""
