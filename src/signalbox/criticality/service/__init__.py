"""What can be done: report a level, ask for it, register consumers, notice silence, follow rules."""
