"""What tokens cost: the published catalogue, what it lacks, and the prices the user sets."""
