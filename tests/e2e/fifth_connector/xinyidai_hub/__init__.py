"""A hub of the delta, simulated: REST/JSON, declared by its manifest and mapping alone."""

from connectors.kit.plugin import Plugin
from connectors.kit.rest import RestConnector

plugin = Plugin(__name__, RestConnector)
