"""Conversations: search over an imported data set of interview transcripts."""
