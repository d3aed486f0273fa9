"""Ships with every function."""

# Lambda has no package metadata to read it from; a test holds it equal to pyproject.toml.
VERSION = "0.1.0"
