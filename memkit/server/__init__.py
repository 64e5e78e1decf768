"""Servers that give a memory to others: `memkit serve` (OpenAI, REST), `mcp` and `page`."""
