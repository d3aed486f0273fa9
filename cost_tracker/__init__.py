"""What people install: the command line and a small client of the HTTP API."""
