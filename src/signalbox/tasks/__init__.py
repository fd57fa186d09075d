"""Tasks: submitted to third-party APIs within their limits, and polled until each is done."""
