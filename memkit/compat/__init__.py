"""The calls of other memory libraries, answered by a memkit memory."""
