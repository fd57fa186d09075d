"""Signalbox: one self-hosted service between a company's apps, its people and other people's APIs."""

from importlib.metadata import version

__version__ = version("signalbox")
