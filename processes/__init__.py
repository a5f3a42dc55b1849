"""Processes to run as they are, and to copy: one file each, with one function `execute`."""
