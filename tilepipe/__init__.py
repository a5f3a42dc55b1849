"""Runs a Python function over the tiles of a pyramid, on one core or many."""
