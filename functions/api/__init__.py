"""The HTTP API: `app.build_api` turns routers into the handler that API Gateway calls."""
