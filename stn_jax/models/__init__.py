"""Flax modules: the localization net, the transformer and the classifier."""
