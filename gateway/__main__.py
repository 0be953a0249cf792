"""`python -m gateway`: one gateway process."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

from gateway import scrapes  # noqa: E402
from gateway.app import create_gateway  # noqa: E402
from gateway.server import serve  # noqa: E402
from shared import garbage, log, tracing  # noqa: E402
from shared.errors import CrofError  # noqa: E402
from shared.settings import load_settings  # noqa: E402


def main() -> int:
    try:
        settings = load_settings()
        log.configure(settings.log_level, settings.log_format)
        tracing.configure(settings.otlp_endpoint, "crofai-gateway")
        gateway = create_gateway(settings)
        scrapes.listen(settings, gateway.gauges)
        gateway.start()
        garbage.settle()
        serve(gateway.app, settings, gateway.leave)
        gateway.settle()
        tracing.settle()
    except CrofError as error:
        print(f"crofai gateway: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
