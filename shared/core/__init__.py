"""Pure: no clock, network, SQL or logging."""
