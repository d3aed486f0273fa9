"""A fake of OpenAI's administration API and the part of the synthetic organisation that uses it."""
