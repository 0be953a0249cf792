"""`python -m workers --model NAME [--engine simulated]`: one worker process."""

import argparse
import os
import signal
import sys

from shared import log
from shared.catalog import load_catalog
from shared.errors import CrofError
from shared.settings import load_settings

NICE = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="crofai worker", description="Serve one model of the catalogue.")
    parser.add_argument("--model", required=True, help="a name or alias in the catalogue")
    parser.add_argument("--engine", choices=["simulated"], help="run this engine in place of the catalogue's")
    arguments = parser.parse_args()
    # Where a gateway shares the processor, it comes first: it has little to do, and everybody waits for it.
    os.nice(NICE)
    # Until Celery takes over, a signal must still run the clean-up: engines have child processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        settings = load_settings()
        log.configure(settings.log_level, settings.log_format)
        model = load_catalog(settings.models_file).find(arguments.model)
        from workers.worker import serve

        serve(settings, model, arguments.engine)
    except CrofError as error:
        print(f"crofai worker: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # An engine may leave threads behind that never end, which a normal exit would wait for.
    os._exit(status)
