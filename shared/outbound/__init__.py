"""HTTP out: services that we tell what things cost."""
