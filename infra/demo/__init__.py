"""A fake Anthropic Admin API and the synthetic organisation behind it, for runs without keys and for tests."""
