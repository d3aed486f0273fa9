"""A fake of OpenRouter's management API and the part of the synthetic organisation that uses it."""
