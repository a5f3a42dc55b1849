"""Files that tell others what an output holds: one module a kind."""
