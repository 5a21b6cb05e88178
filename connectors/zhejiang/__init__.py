"""浙江: form POST, two-stage MD5 tokens, HTTP 200 whatever happened. A simulated dialect."""

from connectors.kit.plugin import Plugin
from connectors.zhejiang.client import ZhejiangConnector

plugin = Plugin(__name__, ZhejiangConnector, secrets=("app_key", "app_secret"))
