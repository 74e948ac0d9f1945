"""Pure functions: theta to positions, positions and image to pixels."""
