"""The `crofai` command, which is also `python -m gateway.cli`."""

import sys


def main() -> None:
    """All else is loaded here, so that Ctrl-C ends the command quietly from its first moment on."""
    try:
        from gateway.cli.main import app

        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
