"""Servers that give a memory to others: `memkit serve` (OpenAI, REST), `memkit mcp`, `memkit page`."""
