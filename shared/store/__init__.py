"""The only SQL, one function per statement."""
