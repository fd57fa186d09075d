"""Seams to the outside: a package is a Protocol and its types; each implementation is one file in it."""
