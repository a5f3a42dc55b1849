"""Recipes to run as they are, and to copy."""
