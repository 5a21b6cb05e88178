"""The honest simple programs the gateway is compared with: same platforms, same twelve values."""
