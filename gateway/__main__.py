"""``python -m gateway``: serve until SIGTERM or Ctrl-C, after the requests in hand."""

from __future__ import annotations

import errno
import logging
import logging.config
import os
from typing import TYPE_CHECKING

from aiohttp import web

from fleet.errors import FatalError
from fleet.logs import logging_config
from fleet.people import for_people
from fleet.settings import settings
from gateway.app import new_app

if TYPE_CHECKING:
    from fleet.settings import Settings

STOP_LIMIT_S = 5.0

log = logging.getLogger("gateway")


@for_people()
def main() -> None:
    """Run the gateway; an error is one line, with exit code 1."""
    config = settings()
    logging.config.dictConfig(logging_config(config))
    # Whether Kafka answers is for /health/ready to say; the client logs every try.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        web.run_app(
            new_app(config),
            host=config.host,
            port=config.gateway_port,
            shutdown_timeout=STOP_LIMIT_S,
            access_log=None,  # /metrics counts the requests
            print=lambda _: log.info("gateway on http://%s:%d", config.host, config.gateway_port),
        )
    except (OSError, OverflowError) as error:
        raise _unusable(config, error) from error
    log.info("gateway stopped")


def _unusable(config: Settings, error: OSError | OverflowError) -> FatalError:
    number = getattr(error, "errno", None)
    why = "is taken" if number == errno.EADDRINUSE else f"cannot be used on {config.host}"
    reason = f" ({os.strerror(number) if number else error})"
    return FatalError(
        f"port {config.gateway_port} of the gateway {why}{reason}",
        hint="free it, or set EVENTFLEET_GATEWAY_PORT to another port",
    )


if __name__ == "__main__":
    main()
