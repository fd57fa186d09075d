"""The schema, revision by revision; each runs on SQLite and on PostgreSQL.

Two histories, because statistics live in a file of their own on SQLite: ``main`` and ``calls``. They have
version tables of their own, so on PostgreSQL both stand in one database.
"""
