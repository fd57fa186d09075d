"""The demo with a day behind it in which a given number of calls were recorded: ``console_hub.py PORT CALLS``."""

import sys

from signalbox.app import demo

_HOURS = 24.5
"""The day begins at a whole hour; half an hour on average."""
RATE = 5.0
"""Calls a second while it is looked at."""


def main(port: int, calls: int) -> None:
    """Run until told to stop."""
    demo.run(port=port, rate=RATE, fast_forward=True, past_rate=calls / (_HOURS * 3_600))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
