"""HTTP in: one file and one line of the registry per provider."""
