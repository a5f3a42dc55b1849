"""Where tasks run: one module a kind of executor."""
