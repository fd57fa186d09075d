"""Criticality: producers set levels, each consumer hears of each change once, and silence is noticed."""
