"""Running the service: health, the audit trail, later the jobs."""
