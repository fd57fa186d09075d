"""The console: web pages over the features' services, rendered by the server. It holds no queries."""
