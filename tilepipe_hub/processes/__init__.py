"""Which processes are offered, what they say of themselves, and whether a request fits them."""
