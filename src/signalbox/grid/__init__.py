"""A power grid: components, measurements, reports."""
