"""江苏: OAuth2, submit then poll, SM4-CBC bodies, SM2 signatures both ways. A simulated dialect."""

from connectors.jiangsu.client import JiangsuConnector
from connectors.kit.plugin import Plugin
from gateway.domain.sm2 import serving_implementation

plugin = Plugin(
    __name__,
    JiangsuConnector,
    secrets=("client_id", "client_secret", "sm4_key", "sign_key", "platform_key"),
    notes=lambda: [f"SM2 by {serving_implementation()}"],
)
