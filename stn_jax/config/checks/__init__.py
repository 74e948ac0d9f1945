"""Refusals of configurations that cannot work, each naming the option and what it must be."""
