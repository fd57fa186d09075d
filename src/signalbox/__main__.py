"""Run the command line as ``python -m signalbox``."""

from signalbox.app.cli import main

if __name__ == "__main__":
    main()
