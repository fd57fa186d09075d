"""The grid over HTTP, but for the hot paths, which are in ``doors.py``."""
