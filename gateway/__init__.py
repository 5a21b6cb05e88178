"""The Xinyidai interconnection gateway (信易贷互联网关): one question, all platforms, one merged view."""
