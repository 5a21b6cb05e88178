"""Lets `python -m gateway.cli` be the command, as a worker is started."""

from gateway.cli import main

main()
