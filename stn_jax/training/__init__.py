"""The training state, step and loop, and everything that keeps a long run safe."""
