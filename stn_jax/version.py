"""The version, alone, so that packaging can read it without importing jax."""

__version__ = "0.1.0"
