"""Pixel algorithms as pure functions on arrays."""
