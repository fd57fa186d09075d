"""Words and rules that every part shares: no I/O, and nothing of any one feature."""
