"""安徽: SOAP 1.1, XML in CDATA, GB18030, totals as texts, old registration numbers. A simulated dialect."""

from connectors.anhui.client import AnhuiConnector
from connectors.kit.plugin import Plugin

plugin = Plugin(__name__, AnhuiConnector, secrets=("access_key", "access_secret"))
