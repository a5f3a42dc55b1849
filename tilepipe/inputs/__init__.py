"""What a process reads: one module a kind of input."""
