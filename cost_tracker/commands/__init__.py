"""The commands, one file each: they read options, ask the API through the client, and print."""
