"""Begins what `ops/run` does; an installed package has it as `kitty-images-run`.

It is apart from the rest so that Ctrl-C is understood from the first moment on: to import the rest
takes a third of a second.
"""

import sys

INTERRUPTED = 130
"""Exit status of a shell command that Ctrl-C has ended."""


def main() -> None:
    """Start the service and draw, as the command line asks; exit with its status."""
    try:
        from service.cli import first_picture  # noqa: PLC0415 - see above

        first_picture.main(interrupted=INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
