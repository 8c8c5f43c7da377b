"""The log of every process: lines for people, or JSON lines for machines."""

from __future__ import annotations

from typing import Any

import structlog

from fleet.settings import Settings

SHARED = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def logging_config(config: Settings) -> dict[str, Any]:
    """Return the standard library's logging configuration for these settings, onto stderr.

    With ``EVENTFLEET_LOG_JSON`` a line is an object with ``event``, ``level``, ``logger``,
    ``timestamp`` (RFC 3339, UTC) and, for errors, ``exception``.
    """
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if config.log_json
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    exceptions = [structlog.processors.format_exc_info] if config.log_json else []
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "fleet": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": list(SHARED),
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *exceptions,
                    renderer,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "fleet"}},
        "root": {"handlers": ["stderr"], "level": config.log_level},
    }
