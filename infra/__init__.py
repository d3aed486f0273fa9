"""What surrounds the code. Never ships."""
