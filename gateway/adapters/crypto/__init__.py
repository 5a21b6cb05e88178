"""Signatures, digests and ciphers of the deployment's own evidence, in suites (算法套件); keys are given by reference."""
