"""memkit in LangChain, LangGraph and agent frameworks; each is an optional dependency."""
