"""Pure functions: theta to positions, positions and image to pixels."""

from stn_jax.sampling.affine import attention_theta, compose, invert
from stn_jax.sampling.area import area_average
from stn_jax.sampling.boxes import theta_to_box
from stn_jax.sampling.grids import affine_grid, projective_grid, thin_plate_spline_grid
from stn_jax.sampling.sampler import grid_sample
from stn_jax.sampling.transform import spatial_transform

__all__ = [
    "affine_grid",
    "area_average",
    "attention_theta",
    "compose",
    "grid_sample",
    "invert",
    "projective_grid",
    "spatial_transform",
    "theta_to_box",
    "thin_plate_spline_grid",
]
