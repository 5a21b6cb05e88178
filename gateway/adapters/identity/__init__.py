"""Who calls: certificates, tokens, and the development authority."""
