"""Plays work through the running system: generated, or any event log. See `python demo.py --help`."""

from app.demo.command import main

if __name__ == "__main__":
    main()
