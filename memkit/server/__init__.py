"""An OpenAI-compatible server with a memory, and REST for the memory: `memkit serve`."""
