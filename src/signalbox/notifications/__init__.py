"""Notifications: an event has a topic, routes send it to channels, and nothing is lost."""
