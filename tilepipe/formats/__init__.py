"""Pixels to bytes and back: one module a format."""
