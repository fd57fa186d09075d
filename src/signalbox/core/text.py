"""What a text from outside must keep to, whatever it says."""

from typing import Final

NO_NUL: Final = r"^[^\x00]*$"
"""A pattern: PostgreSQL keeps no NUL in a text, so that one must be refused before it gets there."""
