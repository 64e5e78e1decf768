"""Servers that give a memory to other programs: `memkit serve` (OpenAI and REST), `memkit mcp`."""
