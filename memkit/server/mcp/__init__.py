"""A memory as a server of the Model Context Protocol (MCP): `memkit mcp`; extra `[mcp]`."""

from memkit.server.mcp.server import make_server

__all__ = ["make_server"]
