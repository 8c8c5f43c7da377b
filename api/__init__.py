"""The HTTP API of the platform, for any aiohttp application: `mount(app, Services.of(settings))`."""

from api.auth import ACTOR
from api.mounting import mount
from api.services import SERVICES, Services

__all__ = ["ACTOR", "SERVICES", "Services", "mount"]
