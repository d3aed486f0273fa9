"""Every AWS entry point. Nothing imports this folder but tests, cost_tracker and infra/local."""
