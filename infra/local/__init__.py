"""What surrounds the service on one machine: a stand-in for API Gateway, an embedded Postgres, a schedule."""
