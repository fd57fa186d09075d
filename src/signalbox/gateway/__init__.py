"""A reverse proxy in front of third-party APIs, with statistics of every call."""
