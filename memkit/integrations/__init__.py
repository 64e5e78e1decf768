"""memkit in LangChain and LangGraph; each framework is an optional dependency."""
