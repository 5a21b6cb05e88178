"""上海: REST/JSON, HMAC-SM3 over sorted parameters, paging. A simulated dialect; the kit serves it without wire code."""

from connectors.kit.plugin import Plugin
from connectors.kit.rest import RestConnector

plugin = Plugin(__name__, RestConnector, secrets=("app_key", "app_secret"))
